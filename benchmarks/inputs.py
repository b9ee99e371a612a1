"""Inputs shared by the benchmarks: data that imitate a LiDAR sweep, drawn from a seed and named by their digest.

Never a uniform cloud: it does not thin out at coarse strides as a sweep does, and costs a sparse network ten times as
much.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

SENSOR_HEIGHT_M = 1.84
Corners = tuple[NDArray[np.float64], NDArray[np.float64]]

MAX_RANGE_M = 100.0
NUM_BEAMS = 32
ELEVATION_RANGE_DEG = (-30.67, 10.67)


def lidar_sweep(seed: int = 0, num_points: int = 34_720) -> NDArray[np.float32]:
    """One sweep of a 32-beam spinning LiDAR over a street of boxes: float32 [N, 4], columns x, y, z in m and intensity.

    Rays are cast against a ground plane and axis-aligned boxes (facades, vehicles, poles); some returns are lost, the
    rest carry range noise of 2 cm. Same seed and size, same bytes.
    """
    generator = np.random.default_rng(seed)
    directions_R3 = _beam_directions(num_azimuths=-(-num_points * 2 // NUM_BEAMS))
    range_R, surface_R = _cast(directions_R3, *_street(generator))
    returned = (range_R < MAX_RANGE_M) & (generator.random(len(range_R)) > 0.05)
    kept = np.sort(generator.choice(np.flatnonzero(returned), num_points, replace=False))
    range_N = range_R[kept] + generator.normal(0.0, 0.02, num_points)
    points_N3 = directions_R3[kept] * range_N[:, None]
    reflectance_N = generator.uniform(5.0, 60.0, int(surface_R.max()) + 1)[surface_R[kept]]
    intensity_N = np.clip(reflectance_N + generator.normal(0.0, 4.0, num_points), 0.0, 255.0)
    return np.column_stack([points_N3, intensity_N]).astype(np.float32)


def digest(array: NDArray[np.generic]) -> str:
    """SHA-256 of an array's dtype, shape and bytes."""
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def _beam_directions(num_azimuths: int) -> NDArray[np.float64]:
    elevation = np.radians(np.linspace(*ELEVATION_RANGE_DEG, NUM_BEAMS))
    azimuth = np.linspace(-np.pi, np.pi, num_azimuths, endpoint=False)
    azimuth_R, elevation_R = (grid.ravel() for grid in np.meshgrid(azimuth, elevation, indexing="ij"))
    horizontal_R = np.cos(elevation_R)
    return np.stack([horizontal_R * np.cos(azimuth_R), horizontal_R * np.sin(azimuth_R), np.sin(elevation_R)], axis=1)


def _street(generator: np.random.Generator) -> Corners:
    """Lower and upper corners [boxes, 3] in the sensor's frame: facades on both sides, vehicles, poles."""

    def boxes(
        number: int, x: float, y: tuple[float, float], size: tuple[float, float, float], spread: float
    ) -> Corners:
        centre = np.column_stack([generator.uniform(-x, x, number), generator.uniform(*y, number)])
        centre[:, 1] *= generator.choice([-1.0, 1.0], number)
        extent = np.asarray(size) * generator.uniform(1 - spread, 1 + spread, (number, 3))
        lower = np.column_stack([centre - extent[:, :2] / 2, np.full(number, -SENSOR_HEIGHT_M)])
        return lower, lower + extent

    groups = [
        boxes(24, 90.0, (14.0, 30.0), (14.0, 9.0, 12.0), 0.5),
        boxes(26, 60.0, (3.2, 8.0), (4.5, 1.9, 1.7), 0.15),
        boxes(40, 60.0, (7.0, 12.0), (0.4, 0.4, 5.0), 0.5),
        boxes(30, 40.0, (5.0, 12.0), (0.6, 0.6, 1.75), 0.1),
    ]
    lower, upper = zip(*groups, strict=True)
    return np.concatenate(lower), np.concatenate(upper)


def _cast(
    directions_R3: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Range of the nearest hit of each ray from the origin, and which surface it was (0 = ground)."""
    with np.errstate(divide="ignore"):
        inverse_R3 = 1.0 / directions_R3
    range_R = np.where(directions_R3[:, 2] < 0, -SENSOR_HEIGHT_M * inverse_R3[:, 2], np.inf)
    surface_R = np.zeros(len(range_R), np.int64)
    for surface, (low, high) in enumerate(zip(lower, upper, strict=True), start=1):
        near, far = low * inverse_R3, high * inverse_R3
        entry_R = np.minimum(near, far).max(axis=1)
        hit = (entry_R > 0) & (entry_R <= np.maximum(near, far).min(axis=1)) & (entry_R < range_R)
        range_R[hit] = entry_R[hit]
        surface_R[hit] = surface
    return range_R, surface_R
