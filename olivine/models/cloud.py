"""Clouds as backbones take them: cells with features, and for each point the row of the output that is its own.

Shapes: N points, V cells (voxels, pillars or kept points), R rows of the backbone's output, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Cloud:
    """One sweep.

    `coordinates_V3` int32 cells; `features_VF` float32; `row_N` int64, the row of each point, -1 for a point that the
    backbone does not see. `positions_R2` float32 x, y [m] of each row and `neighbours_VK` int32 cells near each cell,
    for the backbones that read them.
    """

    coordinates_V3: NDArray[np.int32]
    features_VF: NDArray[np.float32]
    row_N: NDArray[np.int64]
    positions_R2: NDArray[np.float32] | None = None
    neighbours_VK: NDArray[np.int32] | None = None

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.coordinates_V3 if self.positions_R2 is None else self.positions_R2)


@dataclass(frozen=True)
class CloudBatch:
    """B sweeps, one after the other.

    `coordinates_V4` int32 (sweep, cell); `features_VF` float32; `batch_R` int64, the sweep of each row;
    `positions_R2` float32 and `neighbours_VK` int64 (rows of `features_VF`) as in `Cloud`, or None.
    """

    coordinates_V4: Tensor
    features_VF: Tensor
    batch_R: Tensor
    positions_R2: Tensor | None = None
    neighbours_VK: Tensor | None = None

    def to(self, device: torch.device) -> CloudBatch:
        """The batch on a device."""
        given = {name: tensor.to(device) for name, tensor in vars(self).items() if tensor is not None}
        return CloudBatch(**given)


def collate(clouds: Sequence[Cloud]) -> CloudBatch:
    """The batch of these sweeps; the rows of sweep b begin at `row_offsets(clouds)[b]`."""
    first_cell = np.cumsum([0] + [len(cloud.coordinates_V3) for cloud in clouds])
    return CloudBatch(
        coordinates_V4=_join(np.insert(cloud.coordinates_V3, 0, sweep, axis=1) for sweep, cloud in enumerate(clouds)),
        features_VF=_join(cloud.features_VF for cloud in clouds),
        batch_R=_join(np.full(cloud.num_rows, sweep) for sweep, cloud in enumerate(clouds)),
        positions_R2=_join_given([cloud.positions_R2 for cloud in clouds]),
        neighbours_VK=_join_given(
            [
                None if cloud.neighbours_VK is None else cloud.neighbours_VK.astype(np.int64) + first
                for cloud, first in zip(clouds, first_cell[:-1], strict=True)
            ]
        ),
    )


def row_offsets(clouds: Sequence[Cloud]) -> NDArray[np.int64]:
    """First row of each sweep in the batch, int64 [B]."""
    offsets: NDArray[np.int64] = np.cumsum([0] + [cloud.num_rows for cloud in clouds])[:-1]
    return offsets


def first_point(row_N: NDArray[np.int64], num_rows: int) -> NDArray[np.int64]:
    """Lowest point index of each row, int64 [R]; every row has a point."""
    first_R = np.full(num_rows, -1, np.int64)
    seen_N = np.flatnonzero(row_N >= 0)[::-1]
    # With repeated rows the last assignment stays: in reverse order that is the lowest index.
    first_R[row_N[seen_N]] = seen_N
    return first_R


def _join(arrays: Iterable[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(arrays)))


def _join_given(arrays: Sequence[NDArray[Any] | None]) -> Tensor | None:
    given = [array for array in arrays if array is not None]
    return _join(given) if given else None
