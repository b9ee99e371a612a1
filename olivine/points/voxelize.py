"""Turn a point cloud into voxels: coordinates, one feature each, and the way back to the points.

Shapes: N points, V voxels. Voxels come in the order in which the cloud's points first meet them, so the same cloud
always gives the same voxels in the same order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError, UsageError

System = Literal["cylindrical", "cartesian"]
Feature = Literal["first", "mean"]

_FARTHEST_CELL = 2**31 - 1


@dataclass(frozen=True)
class Voxels:
    """Occupied voxels of one cloud.

    `coordinates_V3` int32; `inverse_N` int64, the voxel of each point; `features_V1` float32, the scaled intensity;
    `first_V` int64, the lowest point index of each voxel.
    """

    coordinates_V3: NDArray[np.int32]
    inverse_N: NDArray[np.int64]
    features_V1: NDArray[np.float32]
    first_V: NDArray[np.int64]


def voxelize(
    points_N4: NDArray[Any],
    system: System = "cylindrical",
    voxel_size: tuple[float, float, float] = (0.1, 1.0, 0.1),
    feature: Feature = "mean",
    intensity_scale: float = 1 / 255,
) -> Voxels:
    """Voxelise `points_N4` (x, y, z [m], intensity).

    "cylindrical" divides (rho [m], phi [degrees, -180..180], z [m]) by `voxel_size`, "cartesian" (x, y, z); both take
    the floor, in float64, without a range crop. The feature is `intensity_scale` x intensity, of the voxel's first
    point ("first", as the reference code does) or averaged over its points ("mean").
    Raises DataError for coordinates that are not finite or beyond the range of int32.
    """
    cells_3N = _cells(np.asarray(points_N4), system, voxel_size)
    first_V, inverse_N = group_cells(cells_3N)
    intensity_N = np.asarray(points_N4)[:, 3].astype(np.float64)
    if feature == "mean":
        features_V = np.bincount(inverse_N, weights=intensity_N) / np.bincount(inverse_N)
    elif feature == "first":
        features_V = intensity_N[first_V]
    else:
        raise UsageError(f"unknown voxel feature {feature!r}: choose first or mean")
    features_V1 = (features_V * intensity_scale).astype(np.float32)[:, None]
    coordinates_V3 = np.empty((len(first_V), 3), np.int32)
    for axis in range(3):  # By column: three times as fast as one gather of the transposed array.
        coordinates_V3[:, axis] = cells_3N[axis, first_V]
    return Voxels(coordinates_V3, inverse_N, features_V1, first_V)


def group_cells(cells_3N: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct cells of int32 [3, N]: the lowest point index of each [V], ascending, and the cell of each point [N].

    A hash table in whole-array steps: the lowest point of each slot represents it, and the few points whose slot
    belongs to another cell are sorted. Three times as fast as np.unique on packed keys, sixty times as np.unique on
    rows. Raises DataError when the packed keys would need 64 bits.
    """
    keys_N = _pack(cells_3N)
    index_N = np.arange(len(keys_N), dtype=np.int32)
    slots_N, table = _slots(keys_N)
    # With repeated slots the last assignment stays: in reverse order that is the lowest index.
    table[slots_N[::-1]] = index_N[::-1]
    representative_N = table[slots_N]
    displaced = np.flatnonzero(keys_N[representative_N] != keys_N)
    _, first, group = np.unique(keys_N[displaced], return_index=True, return_inverse=True)
    representative_N[displaced] = displaced[first[group]]
    is_first_N = representative_N == index_N
    number_N = np.cumsum(is_first_N) - 1
    return np.flatnonzero(is_first_N), number_N[representative_N]


def radial_index(
    points_N3: NDArray[Any], bin_m: float = 0.1, rounding: Literal["down", "nearest"] = "down"
) -> NDArray[np.int32]:
    """Radial index [N] int32: the horizontal distance from the sensor over `bin_m`, rounded (paper section 3.4).

    It is the distance whatever voxel system the network uses: the reference code reads x here in Cartesian mode.
    """
    x_N, y_N = np.asarray(points_N3)[:, :2].astype(np.float64).T
    distance_N = np.sqrt(x_N * x_N + y_N * y_N) / bin_m
    index_N: NDArray[np.int32] = (np.floor if rounding == "down" else np.rint)(distance_N).astype(np.int32)
    return index_N


def majority_label(labels_N: NDArray[Any], inverse_N: NDArray[np.int64], num_categories: int) -> NDArray[np.uint8]:
    """Most frequent label of each voxel, uint8 [V].

    Ties go to the lowest id. Label 0 (ignore) wins only where a voxel holds nothing else. Labels must lie in
    0..num_categories-1, else DataError.
    """
    if len(labels_N) != len(inverse_N):
        raise DataError(f"{len(labels_N)} labels for {len(inverse_N)} points: take the label file of this sweep")
    if len(labels_N) == 0:
        return np.empty(0, np.uint8)
    if int(labels_N.max()) >= num_categories or int(labels_N.min()) < 0:
        raise DataError(f"label {labels_N.max()} or {labels_N.min()} is outside 0..{num_categories - 1}")
    num_voxels = int(inverse_N.max()) + 1
    slots_N = inverse_N * num_categories + labels_N
    counts_VC = np.bincount(slots_N, minlength=num_voxels * num_categories).reshape(num_voxels, num_categories)
    counts_VC[:, 0] = 0
    # A voxel of ignored points alone is all zero now, and argmax of zeros is category 0: just the ignore label.
    majority_V: NDArray[np.uint8] = counts_VC.argmax(axis=1).astype(np.uint8)
    return majority_V


def _cells(points_N4: NDArray[Any], system: System, voxel_size: tuple[float, float, float]) -> NDArray[np.int32]:
    """Integer cell of each point, int32 [3, N]."""
    if system not in ("cylindrical", "cartesian"):
        raise UsageError(f"unknown voxel system {system!r}: choose cylindrical or cartesian")
    if min(voxel_size) <= 0:
        raise UsageError(f"voxel_size {voxel_size} must be positive in all three directions")
    position_3N = points_N4[:, :3].T.astype(np.float64, order="C")
    if system == "cylindrical":
        x_N, y_N = position_3N[0].copy(), position_3N[1].copy()
        np.degrees(np.arctan2(y_N, x_N, out=position_3N[1]), out=position_3N[1])
        np.multiply(x_N, x_N, out=x_N)
        np.multiply(y_N, y_N, out=y_N)
        np.sqrt(np.add(x_N, y_N, out=x_N), out=position_3N[0])
    cells_3N = np.empty(position_3N.shape, np.int32)
    for axis, size in enumerate(voxel_size):  # In place and by column: fresh large arrays cost more than the sums do.
        column_N = position_3N[axis]
        np.floor(np.divide(column_N, size, out=column_N), out=column_N)
        # Written so that NaN fails as well.
        if len(column_N) and not (column_N.min() > -_FARTHEST_CELL and column_N.max() < _FARTHEST_CELL):
            raise DataError("a point is not finite, or too far away for its voxel index: check the sweep it comes from")
        cells_3N[axis] = column_N
    return cells_3N


def _pack(cells_3N: NDArray[np.int32]) -> NDArray[Any]:
    """One key a point, unique to its cell: int32 where that is enough, else int64.

    The products may wrap around: the keys of one cloud lie within one span, so they stay distinct.
    """
    if cells_3N.shape[1] == 0:
        return np.empty(0, np.int32)
    span_3 = [int(cells_N.max()) - int(cells_N.min()) + 1 for cells_N in cells_3N]
    if math.prod(span_3) > np.iinfo(np.int64).max:
        raise DataError(f"the cloud spans {span_3} voxels, too many for 64-bit keys: check the sweep for stray points")
    keys_N: NDArray[Any] = cells_3N[0].astype(np.int32 if math.prod(span_3) <= np.iinfo(np.int32).max else np.int64)
    for cells_N, span in zip(cells_3N[1:], span_3[1:], strict=True):
        np.multiply(keys_N, span, out=keys_N)
        np.add(keys_N, cells_N, out=keys_N)
    return keys_N


def _slots(keys_N: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Slot of each key, by multiplicative hashing, and the table: 4 to 8 slots a key, not cleared."""
    table_bits, key_bits = len(keys_N).bit_length() + 2, 8 * keys_N.itemsize
    # The odd integer nearest to 2^bits over the golden ratio spreads neighbouring keys best.
    if key_bits == 32:
        spread_N: NDArray[Any] = keys_N.view(np.uint32) * np.uint32(0x9E3779B1)
    else:
        spread_N = keys_N.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    shift = spread_N.dtype.type(key_bits - table_bits)
    return np.right_shift(spread_N, shift).astype(np.int64), np.empty(1 << table_bits, np.int32)
