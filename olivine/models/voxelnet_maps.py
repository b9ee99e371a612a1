"""Strided sparse convolution: which voxels it leads to, and the pairs of the plain backend for it.

Every grid has cells of its own, numbered from 0 along each axis, as spconv numbers them; keys are those of
`olivine.models.sparse.maps`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from olivine.models.sparse.backend import COORDINATE_LIMIT
from olivine.models.sparse.maps import X_UNIT, Y_UNIT, Z_UNIT, PairMap, group_rows

Cells = tuple[int, int, int]
"""Something along x, y, z."""

_UNITS = (X_UNIT, Y_UNIT, Z_UNIT)
_BATCH_UNIT = 1 << 48
_AXIS_MASK = (1 << 16) - 1


@dataclass(frozen=True)
class Window:
    """Size, step and margin of a convolution along x, y, z, in cells: those of `torch.nn.functional.conv3d`."""

    size: Cells
    step: Cells
    margin: Cells

    @property
    def num_offsets(self) -> int:
        """Cells of the window; that of offset (x, y, z) is number x + X y + X Y z."""
        return self.size[0] * self.size[1] * self.size[2]

    def target_cells(self, cells: Cells) -> Cells:
        """Size of the grid that a grid of this size leads to."""
        along = zip(cells, self.size, self.step, self.margin, strict=True)
        x, y, z = ((cell + 2 * margin - size) // step + 1 for cell, size, step, margin in along)
        return x, y, z


def split_keys(keys_V: Tensor) -> tuple[Tensor, Tensor]:
    """Sweep int64 [V] and cells int64 [3, V] of keys."""
    cells = [(keys_V // unit & _AXIS_MASK) - COORDINATE_LIMIT for unit in _UNITS]
    return keys_V // _BATCH_UNIT, torch.stack(cells)


def strided_map(keys_V: Tensor, cells: Cells, window: Window) -> tuple[Tensor, PairMap]:
    """Sorted keys of the voxels that a convolution leads to, and its pairs.

    The sources are sorted keys on a grid of `cells`. A target is wherever the window meets a source (SparseConv3d of
    spconv): target t meets source step * t - margin + offset.
    """
    batch_V, source_3V = split_keys(keys_V)
    targets, found = [], []
    along = zip(source_3V, window.size, window.step, window.margin, window.target_cells(cells), _UNITS, strict=True)
    for source_V, size, step, margin, num_targets, unit in along:
        reach_KV = source_V + margin - torch.arange(size, device=keys_V.device)[:, None]
        target_KV = torch.div(reach_KV, step, rounding_mode="floor")
        found.append((reach_KV == target_KV * step) & (target_KV >= 0) & (target_KV < num_targets))
        targets.append((target_KV + COORDINATE_LIMIT) * unit)
    found_KV = (found[2][:, None, None] & found[1][:, None] & found[0]).flatten(0, 2)
    target_KV = (targets[2][:, None, None] + targets[1][:, None] + targets[0]).flatten(0, 2) + batch_V * _BATCH_UNIT
    sources = found_KV.nonzero()[:, 1]
    target_keys, rows = torch.unique(target_KV[found_KV], return_inverse=True)
    sizes = found_KV.sum(dim=1).tolist()
    return target_keys, PairMap(
        offsets=tuple(range(window.num_offsets)),
        input_blocks=torch.split(sources, sizes),
        output_blocks=torch.split(rows, sizes),
        by_input=group_rows(sources, len(keys_V)),
        by_output=group_rows(rows, len(target_keys)),
    )
