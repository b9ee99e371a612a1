"""The further clouds that some terms need: a second view of the same sweep, and a later sweep of the same scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.models.cloud import Cloud
from olivine.points.voxelize import group_cells

_NO_SEGMENT = -1


def match_views(first: Cloud, second: Cloud, num_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of both views that hold one point, int64 [K, 2]: each row of the first at most once, at most `num_rows`.

    Both clouds were made of the same points in the same order.
    """
    both = np.flatnonzero((first.row_N >= 0) & (second.row_N >= 0))
    rows_K, index = np.unique(first.row_N[both], return_index=True)
    chosen = np.sort(rng.permutation(len(rows_K))[:num_rows])
    return np.stack([rows_K[chosen], second.row_N[both[index[chosen]]]], axis=1)


def carry_segments(
    points_N3: NDArray[Any], segment_N: NDArray[np.int64], later_P3: NDArray[Any], cell_m: float
) -> NDArray[np.int64]:
    """Segment of each later point: that of the first point with a segment in the same cubic cell, -1 for none.

    Our reading of Seal's temporal term, which follows segments through sweeps of a static world.

    Args:
        points_N3: points [m] of this sweep.
        segment_N: their segments, -1 for none.
        later_P3: points [m] of the later sweep, in the frame of this one.
        cell_m: edge [m] of the cells.
    """
    within_N = segment_N >= 0
    known_3K = np.asarray(points_N3)[within_N, :3].T
    cells_3T = np.floor(np.concatenate([known_3K, np.asarray(later_P3)[:, :3].T], axis=1) / cell_m).astype(np.int32)
    first_V, cell_T = group_cells(cells_3T)
    num_known = known_3K.shape[1]
    # A cell whose first point is a later one holds no point of this sweep.
    segment_V = np.full(len(first_V), _NO_SEGMENT, np.int64)
    held_V = first_V < num_known
    segment_V[held_V] = segment_N[within_N][first_V[held_V]]
    later_P: NDArray[np.int64] = segment_V[cell_T[num_known:]]
    return later_P


def point_segments(
    pair_point_M: NDArray[np.int32], pair_segment_M: NDArray[np.int64], num_points: int
) -> NDArray[np.int64]:
    """Segment of each point: that of its first pair with one, -1 for none."""
    segment_N = np.full(num_points, _NO_SEGMENT, np.int64)
    within = np.flatnonzero(pair_segment_M >= 0)[::-1]
    segment_N[pair_point_M[within]] = pair_segment_M[within]
    return segment_N
