"""Tensors that are not those of the network: every one is named before anything is encoded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from olivine.errors import DataError
from olivine.models.image.layouts import load_tensors
from olivine.models.image.trunk import build_trunk

State = dict[str, Tensor]
Change = Callable[[State], State]


@pytest.fixture(name="resnet", scope="module")
def _resnet() -> nn.Module:
    return build_trunk("resnet50", "imagenet")


@pytest.fixture(name="dinov3", scope="module")
def _dinov3() -> nn.Module:
    return build_trunk("vit_small", "dinov3")


def without(name: str) -> Change:
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


def with_(name: str, change: Callable[[Tensor], Tensor]) -> Change:
    return lambda state: state | {name: change(state.get(name, torch.ones(3)))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer3.5.bn2.running_mean"), r"layer3\.5\.bn2\.running_mean is missing"),
        (with_("layer5.0.conv1.weight", lambda tensor: tensor), r"layer5\.0\.conv1\.weight is not part of it"),
        (with_("conv1.weight", lambda tensor: tensor[:, :1]), r"\[64, 1, 7, 7\], expected floats \[64, 3, 7, 7\]"),
        (with_("conv1.weight", lambda tensor: tensor.to(torch.int8)), r"torch\.int8 \[64, 3, 7, 7\], expected floats"),
    ],
)
def test_an_unmatched_tensor_is_named(resnet: nn.Module, change: Change, message: str) -> None:
    before = resnet.state_dict()["bn1.weight"].clone()
    state = change(resnet.state_dict()) | {"bn1.weight": before + 1}
    with pytest.raises(DataError, match=rf"w\.pth is no resnet: .* 265 expected.*{message}.*name and family"):
        load_tensors(resnet, state, "imagenet", "w.pth is no resnet")
    assert torch.equal(resnet.state_dict()["bn1.weight"], before)


def test_counters_and_classifier_may_be_there_or_not(resnet: nn.Module) -> None:
    state = {name: tensor for name, tensor in resnet.state_dict().items() if "num_batches" not in name}
    load_tensors(resnet, state, "imagenet", "")
    load_tensors(resnet, resnet.state_dict() | {"fc.bias": torch.ones(3)}, "imagenet", "")


@pytest.mark.parametrize("family", ["moco_v2", "swav", "dino"])
def test_a_file_of_another_family_is_refused(resnet: nn.Module, family: str) -> None:
    state = resnet.state_dict() | {"fc.weight": torch.ones(1000, 2048)}
    if family == "dino":
        message = r"fc\.weight is not part of it"
    else:
        state = {f"encoder.{name}": tensor for name, tensor in state.items()}
        message = r"conv1\.weight is missing"
    with pytest.raises(DataError, match=message):
        load_tensors(resnet, state, family, "")


def test_a_name_without_the_prefix_takes_no_place(resnet: nn.Module) -> None:
    state = {f"module.{name}": tensor for name, tensor in resnet.state_dict().items()}
    load_tensors(resnet, state, "swav", "")
    with pytest.raises(DataError, match=r"conv1\.weight \(without module\.\) is not part of it"):
        load_tensors(resnet, state | {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "swav", "")


def test_many_problems_are_counted(resnet: nn.Module) -> None:
    with pytest.raises(DataError, match=r"of 1 tensors found, 265 expected, .*; .*; .* and 263 more"):
        load_tensors(resnet, {"weight": torch.ones(1)}, "imagenet", "")


def test_rotary_positions_of_another_wavelength_are_refused(dinov3: nn.Module) -> None:
    periods = 100 ** (torch.arange(16) / 16)
    load_tensors(dinov3, dinov3.state_dict() | {"rope_embed.periods": periods.bfloat16()}, "dinov3", "")
    for wrong in (periods**1.1, periods[:8]):
        with pytest.raises(DataError, match=r"rope_embed\.periods are"):
            load_tensors(dinov3, dinov3.state_dict() | {"rope_embed.periods": wrong}, "dinov3", "")


def test_half_of_the_biases_is_not_taken_for_none(dinov3: nn.Module) -> None:
    state = without("blocks.3.attn.q_bias")(dinov3.state_dict())
    with pytest.raises(DataError, match=r"blocks\.3\.attn\.q_bias is missing"):
        load_tensors(dinov3, state, "dinov3", "")


@pytest.mark.parametrize("bias", [torch.ones(()), torch.ones(1)])
def test_a_bias_that_cannot_be_split_is_refused(dinov3: nn.Module, bias: Tensor) -> None:
    with pytest.raises(DataError, match=r"w\.pth: a tensor has no shape that could be converted"):
        load_tensors(dinov3, dinov3.state_dict() | {"blocks.0.attn.qkv.bias": bias}, "dinov3", "w.pth")


def test_a_vit_of_another_family_is_refused(dinov3: nn.Module) -> None:
    with pytest.raises(DataError, match="pos_embed is not part of it"):
        load_tensors(dinov3, dinov3.state_dict() | {"pos_embed": torch.ones(1, 197, 384)}, "dinov3", "")
