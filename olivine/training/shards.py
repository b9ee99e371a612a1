"""Optimiser state cut into pieces by process and put together again for any number of processes.

Each parameter's state is a tensor `<parameter number>.<field>`, as in `flatten_optimizer`. A shard holds runs of its
elements, `<parameter number>.<field>@<first element>`, whatever cut them: equal shares of a state that every process
has, or the partitions of ZeRO. So a checkpoint does not know how many processes, or which stage, will read it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from olivine.errors import IntegrityError


def cut_state(state: dict[str, Tensor], rank: int, size: int) -> dict[str, Tensor]:
    """The share of `rank` of a state that every process has whole: each tensor in `size` runs of elements."""
    pieces = {}
    for name, tensor in state.items():
        flat = tensor.detach().reshape(-1)
        first, last = (flat.numel() * number // size for number in (rank, rank + 1))
        if last > first:
            pieces[f"{name}@{first}"] = flat[first:last]
    return pieces


def join_state(shards: Iterable[dict[str, Tensor]], shapes: dict[int, torch.Size]) -> dict[str, Tensor]:
    """The whole state of all shards.

    Args:
        shards: pieces of every process.
        shapes: shape of each parameter by number; a field that has as many elements gets that shape.

    Raises:
        IntegrityError: elements are missing or there twice.
    """
    found: dict[str, dict[int, Tensor]] = {}
    for shard in shards:
        for key, piece in shard.items():
            name, _, first = key.rpartition("@")
            # A field that is one number is in every partition of ZeRO.
            if found.setdefault(name, {}).setdefault(int(first), piece).numel() != piece.numel():
                raise _broken(name)
    return {name: _join(name, pieces, shapes) for name, pieces in found.items()}


def _join(name: str, pieces: dict[int, Tensor], shapes: dict[int, torch.Size]) -> Tensor:
    expected = 0
    for first in sorted(pieces):
        if first != expected:
            raise _broken(name)
        expected += pieces[first].numel()
    flat = torch.cat([pieces[first] for first in sorted(pieces)])
    number, _, field = name.partition(".")
    shape = shapes[int(number)]
    if flat.numel() == shape.numel() and field != "step":
        return flat.reshape(shape)
    if flat.numel() != 1:
        raise _broken(name)
    return flat.reshape(())


def _broken(name: str) -> IntegrityError:
    return IntegrityError(f"the shards of the optimiser state {name} do not fit together: elements are missing.")
