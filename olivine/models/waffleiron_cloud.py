"""A sweep as WaffleIron takes it: points thinned and cropped, with their neighbours and their cells of the 2D grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from olivine.models.cloud import Cloud
from olivine.models.network_recipe import WaffleIronRecipe
from olivine.points.neighbours import nearest_neighbours
from olivine.points.voxelize import voxelize

NUM_FEATURES = 5
"""Intensity, x, y, z and the distance from the sensor."""


def waffleiron_cloud(
    points_N4: NDArray[np.float32],
    recipe: WaffleIronRecipe,
    intensity_scale: float,
    rng: np.random.Generator | None = None,
) -> Cloud:
    """The cloud of a sweep (x, y, z [m], intensity); its cells and its rows are the points that are kept.

    Kept is the first point of each voxel, when it lies in the field of view; the other points of the voxel have its
    row, which is our reading: the reference code trains on kept points alone. With `rng`, for training, at most
    `max_points` stay: those nearest to one of them. Features are intensity, x, y, z and the distance (reference
    configuration: input_feat), coordinates the cells along x, y, z. Raises DataError for points that are not finite.
    """
    voxels = voxelize(points_N4, "cartesian", (recipe.voxel_m,) * 3)
    xyz_V3 = points_N4[voxels.first_V, :3].astype(np.float64)
    low_3, high_3 = np.array(recipe.field_of_view, np.float64)
    kept_V = ((xyz_V3 >= low_3) & (xyz_V3 < high_3)).all(axis=1)
    if rng is not None:
        kept_V = _nearest_to_one(xyz_V3, kept_V, recipe.max_points, rng)
    row_V = np.where(kept_V, np.cumsum(kept_V) - 1, -1)
    xyz_R3 = xyz_V3[kept_V]
    intensity_R1 = points_N4[voxels.first_V[kept_V], 3:4] * intensity_scale
    distance_R1 = np.linalg.norm(xyz_R3, axis=1, keepdims=True)
    cells_3 = np.array(recipe.cells)
    # The quotient of a point just inside may round to the number of cells.
    cells_R3 = np.minimum((xyz_R3 - low_3) * (cells_3 / (high_3 - low_3)), cells_3 - 1)
    return Cloud(
        coordinates_V3=cells_R3.astype(np.int32),
        features_VF=np.hstack([intensity_R1, xyz_R3, distance_R1]).astype(np.float32),
        row_N=row_V[voxels.inverse_N],
        neighbours_VK=nearest_neighbours(xyz_R3, recipe.neighbours),
    )


def _nearest_to_one(
    xyz_V3: NDArray[np.float64], kept_V: NDArray[np.bool_], max_points: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """At most `max_points` of the kept ones: those nearest to one of them. It is drawn in any case."""
    kept = np.flatnonzero(kept_V)
    position = rng.random()
    if len(kept) <= max_points:
        return kept_V
    centre_3 = xyz_V3[kept[int(position * len(kept))]]
    distance_K = ((xyz_V3[kept] - centre_3) ** 2).sum(axis=1)
    near_V = np.zeros_like(kept_V)
    near_V[kept[np.argsort(distance_K, kind="stable")[:max_points]]] = True
    return near_V
