"""Kernel maps of the plain backend: which input row meets which output row under which kernel offset.

A voxel is one int64 key: 16 bits each for batch, x, y, z, from high to low, shifted to be non-negative. Keys are kept
sorted, so a grid is its keys; voxels that differ in z alone are neighbours in memory; and since every stride divides
the shift, the parent of a voxel is its key with a low bit of each axis cleared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from olivine.models.sparse.backend import COORDINATE_LIMIT

X_UNIT, Y_UNIT, Z_UNIT = 1 << 32, 1 << 16, 1
CENTRE = 13

# The 13 offsets whose key lies above the centre's, as columns (dx, dy) of three neighbours along z.
COLUMNS = ((0, 1), (1, -1), (1, 0), (1, 1))
FORWARD_OFFSETS = (CENTRE + 9, *(CENTRE + dx + 3 * dy + 9 * dz for dz in (-1, 0, 1) for dx, dy in COLUMNS))


@dataclass(frozen=True)
class Bags:
    """Products grouped by the row they add up to: row r takes `members[starts[r]:starts[r + 1]]` (int32)."""

    members: Tensor
    starts: Tensor


@dataclass(frozen=True)
class PairMap:
    """All (input row, output row) pairs of one convolution, in one block per kernel offset.

    `input_blocks[b]` and `output_blocks[b]` (int64) are the pairs of kernel offset `offsets[b]`. Where `centre` is set,
    that offset pairs every row with itself: its pairs are left out, and its products come before those of the blocks.
    """

    offsets: tuple[int, ...]
    input_blocks: Sequence[Tensor]
    output_blocks: Sequence[Tensor]
    by_input: Bags
    by_output: Bags
    centre: int | None = None

    @cached_property
    def sizes(self) -> list[int]:
        """Pairs of each block."""
        return [len(block) for block in self.input_blocks]

    @cached_property
    def inputs(self) -> Tensor:
        """The input rows of all blocks, one after the other (int64)."""
        return torch.cat(tuple(self.input_blocks))

    @cached_property
    def outputs(self) -> Tensor:
        """The output rows of all blocks, one after the other (int64)."""
        return torch.cat(tuple(self.output_blocks))

    @cached_property
    def transposed(self) -> PairMap:
        """The same pairs seen from the other side, for a transposed convolution."""
        return replace(
            self,
            input_blocks=self.output_blocks,
            output_blocks=self.input_blocks,
            by_input=self.by_output,
            by_output=self.by_input,
        )


def voxel_keys(coordinates_V4: Tensor) -> Tensor:
    """int64 [V] keys of voxels whose indices lie in the key range (`check_coordinates`)."""
    batch, x, y, z = coordinates_V4.long().unbind(1)
    half = COORDINATE_LIMIT
    return (batch << 48) + (x + half) * X_UNIT + (y + half) * Y_UNIT + (z + half)


def submanifold_map(keys_V: Tensor, stride: int) -> PairMap:
    """Pairs of a 3^3 convolution that keeps the grid: output v takes input v + stride * offset.

    Half of the offsets are searched: a pair (there, here) of an offset is the pair (here, there) of the opposite one.
    """
    rows_KV, found_KV = _forward_neighbours(keys_V, stride)
    pairs = found_KV.flatten().nonzero().squeeze(1)
    there, here = rows_KV.flatten().index_select(0, pairs), pairs % len(keys_V)
    sizes = found_KV.sum(dim=1).tolist() * 2
    by_output = group_rows(torch.cat([here, there]), len(keys_V), with_centre=True)
    return PairMap(
        offsets=FORWARD_OFFSETS + tuple(2 * CENTRE - offset for offset in FORWARD_OFFSETS),
        input_blocks=torch.split(torch.cat([there, here]), sizes),
        output_blocks=torch.split(torch.cat([here, there]), sizes),
        by_input=_mirrored(by_output, len(keys_V)),
        by_output=by_output,
        centre=CENTRE,
    )


def downsample_map(keys_V: Tensor, stride: int) -> tuple[Tensor, PairMap]:
    """Sorted keys of the grid of twice the stride, and the pairs of the 2^3 convolution that leads to it."""
    coarse_keys, parent_V = torch.unique(keys_V & ~(stride * (X_UNIT + Y_UNIT + Z_UNIT)), return_inverse=True)
    x_V, y_V, z_V = ((keys_V & stride * unit) > 0 for unit in (X_UNIT, Y_UNIT, Z_UNIT))
    offset_V = x_V.int() + 2 * y_V + 4 * z_V
    inputs = torch.sort(offset_V, stable=True).indices
    outputs = parent_V.index_select(0, inputs)
    sizes = torch.bincount(offset_V, minlength=8).tolist()
    return coarse_keys, PairMap(
        offsets=tuple(range(8)),
        input_blocks=torch.split(inputs, sizes),
        output_blocks=torch.split(outputs, sizes),
        by_input=group_rows(inputs, len(keys_V)),
        by_output=group_rows(outputs, len(coarse_keys)),
    )


def _forward_neighbours(keys_V: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Row of each neighbour and whether it is occupied, both [13, V], in the order of `FORWARD_OFFSETS`.

    One search finds the first of the three neighbours of a column; the others can only follow it directly.
    """
    # Sentinels that no key can equal let a row run past the end.
    padded = torch.cat([keys_V, keys_V.new_full((3,), torch.iinfo(torch.int64).max)])
    rows_1V = torch.arange(1, len(keys_V) + 1, device=keys_V.device)[None]
    rows, found = [rows_1V], [padded[rows_1V] == keys_V + stride * Z_UNIT]
    columns = [stride * (dx * X_UNIT + dy * Y_UNIT - Z_UNIT) for dx, dy in COLUMNS]
    wanted_4V = keys_V + torch.tensor(columns, device=keys_V.device)[:, None]
    rows_4V = torch.searchsorted(keys_V, wanted_4V)
    for _ in range(3):
        rows.append(rows_4V)
        found.append(padded[rows_4V] == wanted_4V)
        rows_4V = rows_4V + found[-1]
        wanted_4V = wanted_4V + stride * Z_UNIT
    return torch.cat(rows), torch.cat(found)


def group_rows(rows_M: Tensor, num_rows: int, with_centre: bool = False) -> Bags:
    """Bags of the products by the row int64 [M] that each adds up to; with a centre, one more a row before them."""
    bounds = torch.arange(num_rows + 1, device=rows_M.device, dtype=torch.int32)
    rows_M = rows_M.int()
    if with_centre:
        rows_M = torch.cat([bounds[:-1], rows_M])
    ordered, members = torch.sort(rows_M, stable=True)
    return Bags(members.int(), torch.searchsorted(ordered, bounds, out_int32=True))


def _mirrored(bags: Bags, num_rows: int) -> Bags:
    """Bags by input row of a submanifold map: those by output row, each pair standing for its opposite."""
    centre, forward = num_rows, (len(bags.members) - num_rows) // 2
    products = torch.arange(len(bags.members), device=bags.members.device, dtype=torch.int32)
    opposite = torch.cat([products[:centre], products[centre + forward :], products[centre : centre + forward]])
    return Bags(opposite.index_select(0, bags.members), bags.starts)
