"""The names that published weights give to an encoder's tensors, in the words of torchvision and timm.

Sources: the checkpoints and loading code of MoCo (v2), SwAV, DINO, DINOv2 and DINOv3, and timm's own files.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from olivine.errors import DataError

_PREFIXES = {"moco_v2": "module.encoder_q.", "swav": "module."}
_UNUSED = {
    "imagenet": ("fc.",),
    "moco_v2": ("module.encoder_q.fc.", "module.encoder_k.", "module.queue"),
    "swav": ("module.projection_head.", "module.prototypes."),
    "augreg": ("head.",),
    "dinov2": ("mask_token",),
    "dinov2_registers": ("mask_token",),
    "dinov3": ("mask_token", "local_cls_norm."),
}
"""Beginnings of the names of what only pretraining or classifying needs."""

_COUNTER = ".num_batches_tracked"
"""Batch normalisation's step counter: read in training alone, and missing in old files."""
_PERIODS = "rope_embed.periods"
_PERIODS_TOLERANCE = 0.01
"""The file holds them in bfloat16, which has 8 bits."""


def load_tensors(network: nn.Module, tensors: dict[str, Tensor], family: str, where: str) -> None:
    """Give `network` (of torchvision or timm) the tensors of a file of that family: every one, and no other.

    Args:
        network: any device and dtype.
        tensors: as the file names them.
        family: whose weights they are, a key of FAMILIES.
        where: the file and what it should hold, for the message.

    Raises:
        DataError: a tensor is missing, left over, no number of a float type, or of another shape.
    """
    try:
        named = _rename(tensors, family)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{where}: a tensor has no shape that could be converted: {error}.") from error
    if family == "dinov3":
        _check_periods(network, named.pop(_PERIODS, None), where)
    expected = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(_COUNTER)}
    problems = _compare(named, expected)
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DataError(
            f"{where}: of {len(tensors)} tensors found, {len(expected)} expected, these do not match: "
            f"{'; '.join(problems[:3])}{more}. Check the encoder's name and family."
        )
    network.load_state_dict(named)


def _rename(tensors: dict[str, Tensor], family: str) -> dict[str, Tensor]:
    """The tensors that encode, in the words of torchvision and timm; names that are no such words stay."""
    prefix = _PREFIXES.get(family, "")
    # A name without the prefix keeps a mark, lest it take the place of one that has it.
    kept = {
        name.removeprefix(prefix) if name.startswith(prefix) else f"{name} (without {prefix})": tensor
        for name, tensor in tensors.items()
        if not name.startswith(_UNUSED.get(family, ())) and not name.endswith(_COUNTER)
    }
    if family == "dinov2_registers":
        return _from_dinov2_registers(kept)
    return _from_dinov3(kept) if family == "dinov3" else kept


def _from_dinov2_registers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm adds the class token's position to the token itself; registers have none."""
    if not {"register_tokens", "cls_token", "pos_embed"} <= tensors.keys():
        return tensors
    named = dict(tensors)
    named["reg_token"] = named.pop("register_tokens")
    named["cls_token"] = tensors["cls_token"] + tensors["pos_embed"][:, :1]
    named["pos_embed"] = tensors["pos_embed"][:, 1:]
    return named


def _from_dinov3(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm splits the bias of query, key and value: that of the key is masked away, and its own files have none."""
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("attn.qkv.bias"):
            query, _, value = tensor.chunk(3)
            named[name.replace("qkv.bias", "q_bias")], named[name.replace("qkv.bias", "v_bias")] = query, value
        elif not name.endswith("attn.qkv.bias_mask"):
            renamed = re.sub(r"\.ls([12])\.gamma$", r".gamma_\1", name)
            named["reg_token" if name == "storage_tokens" else renamed] = tensor
    if not any(name.endswith(".q_bias") for name in named):
        for name in [name for name in named if name.endswith("attn.qkv.weight")]:
            zeros = torch.zeros(len(named[name]) // 3)
            named |= {name.replace("qkv.weight", bias): zeros for bias in ("q_bias", "v_bias")}
    return named


def _check_periods(network: nn.Module, periods: Tensor | None, where: str) -> None:
    """timm computes the wavelengths of the rotary positions: they must be those that the file was trained with."""
    expected = network.get_buffer("rope.periods")
    if periods is None:
        return
    if periods.shape != expected.shape or not torch.allclose(periods.float(), expected, rtol=_PERIODS_TOLERANCE):
        raise DataError(f"{where}: {_PERIODS} are {periods.tolist()}, expected {expected.tolist()}.")


def _compare(found: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """What keeps `found` from taking the place of `expected`, a line a tensor."""
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not part of it" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        tensor, shape = found[name], expected[name].shape
        if tensor.shape != shape or not tensor.is_floating_point():
            problems.append(f"{name} is {tensor.dtype} {list(tensor.shape)}, expected floats {list(shape)}")
    return problems
