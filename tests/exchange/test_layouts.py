"""Tables of layouts: every tensor of every backbone has one name in each, and the public names are those of the code."""

from __future__ import annotations

import pytest
import torch

from exchange.conftest import NETWORKS, random_tensors
from olivine.errors import DataError, UsageError
from olivine.exchange.layouts import LAYOUTS, find_layout, rename
from olivine.exchange.match import complete_tensors, fitting_layouts, match_tensors, require_complete, show
from olivine.exchange.network import describe_backbone

ROWS = [(layout, backbone) for layout in LAYOUTS.values() for backbone in layout.rules]
SLIDR = LAYOUTS["slidr"]


def theirs(layout, backbone, tensors):
    """A file's tensors in a layout, by the tables themselves."""
    named = {rename(layout.rules[backbone], name): tensor for name, tensor in tensors.items()}
    return {name: axes.to_theirs(tensor).contiguous() for (name, axes), tensor in named.items()}


@pytest.mark.parametrize(("layout", "backbone"), ROWS, ids=lambda value: getattr(value, "name", value))
def test_every_tensor_goes_there_and_comes_back(layout, backbone):
    tensors = random_tensors(NETWORKS[backbone])
    described = describe_backbone(NETWORKS[backbone])
    assert described.name == backbone
    wanted = described.tensors
    found = theirs(layout, backbone, tensors)
    assert len(found) == len(tensors)
    for prefix in layout.prefixes:
        match = match_tensors({f"{prefix}{name}": tensor for name, tensor in found.items()}, wanted, layout, backbone)
        assert match.is_complete, prefix
        assert match.tensors.keys() == tensors.keys()
        assert all(torch.equal(match.tensors[name], tensor) for name, tensor in tensors.items())
        assert (match.filled, match.left_out) == ((), ())


def test_heads_and_other_modules_are_left_out_and_told(minkunet):
    wanted = describe_backbone(NETWORKS["minkunet"]).tensors
    found = {f"model_points.{name}": tensor for name, tensor in minkunet.items()}
    found |= {"model_points.final.kernel": torch.ones(6, 5), "model_points.final_class_level.bias": torch.ones(1, 5)}
    found |= {"model_images.encoder.conv1.weight": torch.ones(2), "vmf_distributions.0.mu": torch.ones(64)}
    match = match_tensors(found, wanted, SLIDR, "minkunet")
    assert match.is_complete
    assert match.left_out == (
        "model_points.final.kernel",
        "model_points.final_class_level.bias",
        "model_images.encoder.conv1.weight",
        "vmf_distributions.0.mu",
    )


def test_counters_may_be_missing_and_types_narrower(minkunet):
    wanted = describe_backbone(NETWORKS["minkunet"]).tensors
    found = {name: tensor.half() for name, tensor in minkunet.items() if "num_batches" not in name}
    match = match_tensors(found, wanted, SLIDR, "minkunet")
    assert match.is_complete
    assert len(match.filled) == sum("num_batches" in name for name in minkunet) > 0
    tensors = complete_tensors(match, wanted)
    assert tensors.keys() == minkunet.keys()
    assert all(tensors[name].dtype == tensor.dtype for name, tensor in minkunet.items())
    assert int(tensors["bn0.bn.num_batches_tracked"]) == 0


def fail(found, layout=SLIDR):
    wanted = describe_backbone(NETWORKS["minkunet"]).tensors
    match = match_tensors(found, wanted, layout, "minkunet")
    with pytest.raises(DataError) as error:
        require_complete(match, found, wanted, "model.pt", "Do this.")
    return match, str(error.value)


def test_no_tensor_fits():
    match, message = fail({"layer1.weight": torch.ones(1), "layer2.weight": torch.ones(1)})
    assert not match.is_complete
    assert message.startswith(
        "model.pt holds weights of another architecture: none of its 2 tensors (layer1.weight, layer2.weight) is one "
    )
    assert message.endswith("Do this.")


def test_names_without_one_right_shape_are_listed_with_their_shapes(minkunet):
    found = {name: tensor[None] for name, tensor in minkunet.items()}
    _, message = fail(found)
    assert (
        f"fits in part, 0 of {len(found)} tensors: {len(found)} of another shape or type: conv0p1s1.kernel" in message
    )
    assert "([1, 27, 1, 4] instead of [27, 1, 4])" in message


def test_tensors_that_fit_in_part_are_listed(minkunet):
    found = dict(minkunet)
    del found["block3.0.conv1.kernel"]
    found["conv0p1s1.kernel"] = torch.ones(27, 3, 4)
    found["bn0.bn.weight"] = found["bn0.bn.weight"].long()
    found["block1.7.conv1.kernel"] = torch.ones(27, 4, 4)
    match, message = fail(found)
    assert match.missing == ("block3.0.conv1.kernel",)
    assert match.wrong == (
        "conv0p1s1.kernel ([27, 3, 4] instead of [27, 1, 4])",
        "bn0.bn.weight (torch.int64 instead of torch.float32)",
    )
    assert match.unexpected == ("block1.7.conv1.kernel",)
    assert (
        f"model.pt fits in part, {len(minkunet) - 3} of {len(minkunet)} tensors: 1 missing: block3.0.conv1" in message
    )
    assert "2 of another shape or type: conv0p1s1.kernel ([27, 3, 4]" in message
    assert "1 unknown: block1.7.conv1.kernel. Do this." in message


@pytest.mark.parametrize("change", ["deeper", "wider", "shallower"])
def test_another_network_of_the_same_kind_is_refused(change):
    widths = (4, 4, 4, 8, 8, 8, 8, 6, 8 if change == "wider" else 6)
    blocks = {"deeper": (1,) * 7 + (2,), "shallower": (1,) * 8, "wider": (1,) * 8}[change]
    found = random_tensors(NETWORKS["minkunet"].model_copy(update={"widths": widths, "blocks": blocks}))
    if change == "shallower":
        found = {name: tensor for name, tensor in found.items() if not name.startswith("block8.")}
    match, message = fail(found)
    assert {"deeper": match.unexpected, "wider": match.wrong, "shallower": match.missing}[change]
    assert "fits in part" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite(minkunet, value):
    minkunet["block2.0.norm1.bn.running_var"][1] = value
    _, message = fail(minkunet)
    assert "1 tensors hold numbers that are not finite (block2.0.norm1.bn.running_var)" in message


def test_a_number_too_large_for_our_type_is_not_finite(minkunet):
    minkunet["bn0.bn.bias"] = torch.full((4,), 1e300, dtype=torch.float64)
    assert "not finite (bn0.bn.bias)" in fail(minkunet)[1]


def test_tensors_of_a_special_kind_are_refused(minkunet):
    minkunet["bn0.bn.bias"] = torch.ones(4).to_sparse()
    minkunet["bn1.bn.bias"] = torch.ones(4, device="meta")
    minkunet["bn2.bn.bias"] = torch.ones(4, dtype=torch.complex64)
    assert fail(minkunet)[0].wrong == (
        "bn0.bn.bias (not a plain tensor)",
        "bn1.bn.bias (not a plain tensor)",
        "bn2.bn.bias (torch.complex64 instead of torch.float32)",
    )


def test_layouts_that_fit_are_named(minkunet):
    wanted = describe_backbone(NETWORKS["minkunet"]).tensors
    assert fitting_layouts(minkunet, wanted, "minkunet") == ["slidr", "olivine", "huggingface"]
    assert fitting_layouts({"a": torch.ones(1)}, wanted, "minkunet") == []


def test_unknown_layouts_and_backbones():
    with pytest.raises(UsageError, match=r"there is no layout 'onnx': choose one of slidr, olivine, "):
        find_layout("onnx")
    with pytest.raises(UsageError, match=r"layout slidr has no pointnet, only minkunet"):
        SLIDR.rules_of("pointnet")


def test_names_are_shown_without_what_a_terminal_acts_on():
    assert show(["a\x1b[31m\n", "é"]) == r"a\x1b[31m\n, \xe9"
    assert show(str(number) for number in range(9)) == "0, 1, 2, 3, 4 and 4 more"
    assert len(show(["x" * 10_000])) == 120
