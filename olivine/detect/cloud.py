"""A frame as the detector takes it: voxels of its grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from olivine.detect.recipe import GridRecipe
from olivine.models.cloud import Cloud
from olivine.models.voxelnet_cloud import voxel_means


def detection_cloud(points_N4: NDArray[np.float32], grid: GridRecipe, intensity_scale: float, max_voxels: int) -> Cloud:
    """The voxels of points (x, y, z [m], intensity) in range; a voxel is one row, which may be none at all."""
    scaled_N4 = np.column_stack([points_N4[:, :3], points_N4[:, 3] * intensity_scale]).astype(np.float64)
    cells_N3 = np.floor((scaled_N4[:, :3] - grid.low) / grid.voxel_size).astype(np.int32)
    inside_N = in_range(scaled_N4, grid) & (cells_N3 < grid.cells).all(axis=1)
    coordinates_V3, features_V4 = voxel_means(
        scaled_N4[inside_N], cells_N3[inside_N], grid.max_points_per_voxel, max_voxels
    )
    return Cloud(coordinates_V3, features_V4, row_N=np.full(len(points_N4), -1))


def in_range(xyz_N3: NDArray[np.float64], grid: GridRecipe) -> NDArray[np.bool_]:
    """Which points lie in the range, bool [N]; the lower faces belong to it, the upper ones do not."""
    inside_N: NDArray[np.bool_] = ((xyz_N3[:, :3] >= grid.low) & (xyz_N3[:, :3] < grid.high)).all(axis=1)
    return inside_N
