"""A sweep as VoxelNet takes it: the means of a few points a voxel, and the place of every point on the map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError
from olivine.models.cloud import Cloud
from olivine.models.network_recipe import VoxelNetRecipe
from olivine.points.voxelize import group_cells

NUM_FEATURES = 4
"""Means of x, y, z and intensity."""


def voxelnet_cloud(points_N4: NDArray[np.float32], recipe: VoxelNetRecipe, intensity_scale: float) -> Cloud:
    """The cloud of a sweep (x, y, z [m], intensity): its cells are voxels, its rows all points in range.

    A voxel's feature is the mean of its first `max_points_per_voxel` points; there are at most `max_voxels`, in the
    order of their first points (the voxeliser of spconv, which the reference code calls). Points on the far faces of
    the range have a row and no voxel. Raises DataError for points that are not finite.
    """
    xyz_N3 = points_N4[:, :3].astype(np.float64)
    low, high = recipe.height_m
    if not np.isfinite(xyz_N3).all():
        raise DataError("a point is not finite: check the sweep it comes from.")
    squared_N = (xyz_N3[:, :2] ** 2).sum(axis=1)
    seen_N = (squared_N <= recipe.radius_m**2) & (xyz_N3[:, 2] >= low) & (xyz_N3[:, 2] <= high)
    seen_R4 = np.column_stack([xyz_N3, points_N4[:, 3] * intensity_scale])[seen_N]
    origin_3 = np.array([-recipe.radius_m, -recipe.radius_m, low])
    cells_R3 = np.floor((seen_R4[:, :3] - origin_3) / recipe.voxel_size).astype(np.int32)
    inside_R = ((cells_R3 >= 0) & (cells_R3 < recipe.cells)).all(axis=1)
    coordinates_V3, features_V4 = voxel_means(
        seen_R4[inside_R], cells_R3[inside_R], recipe.max_points_per_voxel, recipe.max_voxels
    )
    return Cloud(
        coordinates_V3=coordinates_V3,
        features_VF=features_V4,
        row_N=np.where(seen_N, np.cumsum(seen_N) - 1, -1),
        positions_R2=seen_R4[:, :2].astype(np.float32),
    )


def voxel_means(
    points_P4: NDArray[np.float64], cells_P3: NDArray[np.int32], max_points_per_voxel: int, max_voxels: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Voxels int32 [V, 3] in the order of their first points, `max_voxels` at most, and their means float32 [V, 4].

    A mean is over the first `max_points_per_voxel` points of its voxel.
    """
    first_V, voxel_P = group_cells(cells_P3.T.copy())
    first_V = first_V[:max_voxels]
    means_V4 = _means(points_P4, voxel_P, len(first_V), max_points_per_voxel)
    return cells_P3[first_V], means_V4.astype(np.float32)


def _means(
    points_P4: NDArray[np.float64], voxel_P: NDArray[np.int64], num_voxels: int, most: int
) -> NDArray[np.float64]:
    """Mean [V, 4] over the first `most` points of each of the first `num_voxels` voxels."""
    order = np.argsort(voxel_P, kind="stable")
    sorted_P = voxel_P[order]
    place_P = np.arange(len(order)) - np.searchsorted(sorted_P, sorted_P)
    taken = order[(place_P < most) & (sorted_P < num_voxels)]
    columns = [np.bincount(voxel_P[taken], weights=column, minlength=num_voxels) for column in points_P4[taken].T]
    means_V4: NDArray[np.float64] = np.stack(columns, 1) / np.bincount(voxel_P[taken], minlength=num_voxels)[:, None]
    return means_V4
