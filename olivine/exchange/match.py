"""Compare the tensors of a file with those a backbone needs: what fits, what is missing, what nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from olivine.errors import DataError
from olivine.exchange.axes import Axes
from olivine.exchange.layouts import LAYOUTS, Layout, rename

_MOST_SHOWN = 5
_COUNTER = "num_batches_tracked"
"""Counters of batch normalisation: old programs do not save them, and nothing computed here depends on them."""


@dataclass(frozen=True)
class Match:
    """How the tensors of a file fit a backbone in a layout.

    `tensors` by our names, `filled` our names of counters that the file lacks. By the file's names: `missing` and
    `wrong` (shape or type), which the backbone needs; `unexpected`, which stand among the backbone's and are unknown;
    `left_out`, which belong to heads and to other modules.
    """

    tensors: dict[str, Tensor]
    filled: tuple[str, ...]
    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    unexpected: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every tensor of the backbone was found and no other stands among them."""
        return bool(self.tensors) and not (self.missing or self.wrong or self.unexpected)


def match_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], layout: Layout, backbone: str) -> Match:
    """Match the tensors of a file with those of a backbone.

    Args:
        found: tensors by the names they have in the file.
        wanted: tensors of the backbone by our names; only shapes and types count, they may be on the meta device.
        layout, backbone: which layout the file is in, and which backbone `wanted` is.

    Raises:
        UsageError: the layout has no such backbone.
    """
    rules = layout.rules_of(backbone)
    names = {ours: rename(rules, ours) for ours in wanted}
    prefix = max(layout.prefixes, key=lambda prefix: sum(f"{prefix}{theirs}" in found for theirs, _ in names.values()))
    tensors: dict[str, Tensor] = {}
    filled: list[str] = []
    missing: list[str] = []
    wrong: list[str] = []
    for ours, (theirs, axes) in names.items():
        name = f"{prefix}{theirs}"
        if name not in found and ours.endswith(_COUNTER):
            filled.append(ours)
        elif name not in found:
            missing.append(name)
        elif problem := _misfit(found[name], wanted[ours], axes):
            wrong.append(f"{name} ({problem})")
        else:
            tensors[ours] = axes.to_ours(found[name].detach()).to(wanted[ours].dtype, copy=True).contiguous()
    unexpected, left_out = _sort_rest(
        found, {f"{prefix}{theirs}" for theirs, _ in names.values()}, prefix, layout.heads
    )
    return Match(tensors, tuple(filled), tuple(missing), tuple(wrong), unexpected, left_out)


def complete_tensors(match: Match, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a complete match by our names, counters that the file lacked at zero."""
    return match.tensors | {ours: torch.zeros_like(wanted[ours], device="cpu") for ours in match.filled}


def require_complete(
    match: Match, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str, hint: str
) -> None:
    """Refuse weights of another architecture, those that fit in part, and those that are not finite.

    Raises:
        DataError: with what is missing, of another shape, or unknown; `hint` says what to do.
    """
    if not match.tensors and not match.wrong:
        raise DataError(
            f"{where} holds weights of another architecture: none of its {len(found)} tensors ({show(found)}) is one "
            f"of the {len(wanted)} of this backbone ({show(wanted)}). {hint}"
        )
    parts = {"missing": match.missing, "of another shape or type": match.wrong, "unknown": match.unexpected}
    problems = "; ".join(f"{len(names)} {what}: {show(names)}" for what, names in parts.items() if names)
    if problems:
        raise DataError(f"{where} fits in part, {len(match.tensors)} of {len(wanted)} tensors: {problems}. {hint}")
    bad = [name for name, tensor in match.tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise DataError(
            f"{where}: {len(bad)} tensors hold numbers that are not finite ({show(bad)}), as after a training that "
            "diverged. Take an earlier checkpoint."
        )


def fitting_layouts(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], backbone: str) -> list[str]:
    """Names of the layouts in which these tensors are exactly those of the backbone."""
    fitting = (layout for layout in LAYOUTS.values() if backbone in layout.rules)
    return [layout.name for layout in fitting if match_tensors(found, wanted, layout, backbone).is_complete]


def show(names: Iterable[str]) -> str:
    """The first few names, without what a terminal would act on: they may come from anybody's file."""
    given = list(names)
    shown = ", ".join(ascii(name)[1:-1][:120] for name in given[:_MOST_SHOWN])
    return f"{shown} and {len(given) - _MOST_SHOWN} more" if len(given) > _MOST_SHOWN else shown


def _sort_rest(
    found: Mapping[str, Tensor], used: set[str], prefix: str, heads: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that nothing was made of: unknown ones among the backbone's, and those of heads and other modules."""
    rest = [name for name in found if name not in used]
    of_heads = tuple(f"{prefix}{head}" for head in heads)
    left_out = tuple(name for name in rest if not name.startswith(prefix) or name.startswith(of_heads))
    return tuple(name for name in rest if name not in left_out), left_out


def _misfit(tensor: Tensor, wanted: Tensor, axes: Axes) -> str | None:
    """What is wrong with a tensor; None when its shape and type will do."""
    expected = axes.to_theirs(torch.empty(wanted.shape, device="meta"))
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return "not a plain tensor"
    if tensor.shape != expected.shape:
        return f"{list(tensor.shape)} instead of {list(expected.shape)}"
    if tensor.is_floating_point() != wanted.is_floating_point() or tensor.is_complex():
        return f"{tensor.dtype} instead of {wanted.dtype}"
    return None
