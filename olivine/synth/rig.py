"""The sensor rig: one LiDAR and six cameras, placed and clocked like those of the nuScenes vehicles.

Every scene's rig differs a little from the nominal one (as two vehicles of a fleet do), so that nobody can get away
with a calibration that is fixed in the code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from olivine.synth.arrays import F32, F64
from olivine.synth.poses import Pose, euler_rotation
from olivine.synth.recipe import SynthRecipe

LIDAR: Final = "LIDAR_TOP"
ELEVATION_RANGE_DEG: Final = (-30.67, 10.67)
_LIDAR_POSITION_M: Final = (0.94, 0.0, 1.84)
_NATIVE_WIDTH, _NATIVE_HEIGHT = 1600, 900


@dataclass(frozen=True)
class _NominalCamera:
    """Yaw in degrees (left is positive), position in the ego frame in metres, focal length at 1600 px, clock in ms."""

    yaw_deg: float
    position_m: tuple[float, float, float]
    focal_px: float
    clock_ms: float


_NOMINAL_CAMERAS: Final[dict[str, _NominalCamera]] = {
    "CAM_FRONT": _NominalCamera(0.0, (1.70, 0.02, 1.51), 1266.0, -35.5),
    "CAM_FRONT_RIGHT": _NominalCamera(-55.0, (1.55, -0.49, 1.50), 1261.0, -27.6),
    "CAM_BACK_RIGHT": _NominalCamera(-110.0, (1.01, -0.48, 1.56), 1260.0, -20.1),
    "CAM_BACK": _NominalCamera(180.0, (0.03, 0.0, 1.58), 809.0, -10.4),
    "CAM_BACK_LEFT": _NominalCamera(110.0, (1.04, 0.48, 1.59), 1257.0, -0.5),
    "CAM_FRONT_LEFT": _NominalCamera(55.0, (1.52, 0.49, 1.51), 1273.0, -43.1),
}
CAMERAS: Final = tuple(_NOMINAL_CAMERAS)
CHANNELS: Final = (LIDAR, *CAMERAS)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: pose in the ego frame (z forward, x right, y down), K [3, 3] in pixels, clock offset in us."""

    channel: str
    pose: Pose
    intrinsic_33: F64
    clock_us: int


@dataclass(frozen=True)
class Lidar:
    """The spinning LiDAR: pose in the ego frame (y forward, x right, z up) and its unit rays."""

    pose: Pose
    directions_N3: F32
    rings_N: F32


@dataclass(frozen=True)
class Rig:
    """All sensors of one scene."""

    lidar: Lidar
    cameras: tuple[Camera, ...]


def build_rig(recipe: SynthRecipe, rng: np.random.Generator) -> Rig:
    """The rig of one scene: nominal values with errors of about 1 cm, 0.4 degrees, 0.5 % of focal length and 1 ms."""
    wobble = euler_rotation(*np.radians(rng.normal(0.0, 0.4, 3)))
    position = np.array(_LIDAR_POSITION_M) + rng.normal(0.0, 0.01, 3)
    lidar_pose = Pose(wobble @ euler_rotation(-math.pi / 2), position)
    low, high = (math.radians(x) for x in ELEVATION_RANGE_DEG)
    elevation = np.linspace(low, high, recipe.num_beams)
    directions_N3, rings_N = turn_rays(elevation, recipe.num_columns, start_rad=-math.pi / 2)
    cameras = tuple(_camera(channel, nominal, recipe, rng) for channel, nominal in _NOMINAL_CAMERAS.items())
    return Rig(Lidar(lidar_pose, directions_N3, rings_N), cameras)


def _camera(channel: str, nominal: _NominalCamera, recipe: SynthRecipe, rng: np.random.Generator) -> Camera:
    yaw, pitch, roll = np.radians(rng.normal(0.0, 0.4, 3))
    axes_in_ego = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    rotation = euler_rotation(math.radians(nominal.yaw_deg) + yaw, pitch, roll) @ axes_in_ego
    position = np.array(nominal.position_m) + rng.normal(0.0, 0.01, 3)
    focal_px = nominal.focal_px * (1.0 + rng.normal(0.0, 0.005))
    scale_x, scale_y = recipe.image_width / _NATIVE_WIDTH, recipe.image_height / _NATIVE_HEIGHT
    centre_x, centre_y = 800.0 + rng.normal(10.0, 10.0), 450.0 + rng.normal(30.0, 10.0)
    intrinsic = np.array(
        [
            [focal_px * scale_x, 0.0, centre_x * scale_x],
            [0.0, focal_px * scale_y, centre_y * scale_y],
            [0.0, 0.0, 1.0],
        ]
    )
    clock_us = round(1000.0 * (nominal.clock_ms + rng.normal(0.0, 1.0)))
    return Camera(channel, Pose(rotation, position), intrinsic, clock_us)


def turn_rays(elevation_B: F64, num_columns: int, start_rad: float) -> tuple[F32, F32]:
    """Unit rays [N, 3] of one turn in the LiDAR frame and ring numbers [N]; the ring runs fastest, as in nuScenes.

    `elevation_B` are the beams' elevations in radians; the turn begins at the azimuth `start_rad`, to the right.
    """
    azimuth = start_rad - np.arange(num_columns) * (2.0 * math.pi / num_columns)
    azimuth_N, elevation_N = (grid.ravel() for grid in np.meshgrid(azimuth, elevation_B, indexing="ij"))
    planar = np.cos(elevation_N)
    rays = np.stack([planar * np.cos(azimuth_N), planar * np.sin(azimuth_N), np.sin(elevation_N)], axis=1)
    rings = np.tile(np.arange(len(elevation_B), dtype=np.float32), num_columns)
    return rays.astype(np.float32), rings


def camera_rays(camera: Camera, width: int, height: int) -> F32:
    """Unit rays [height * width, 3] in the camera frame, row by row, through the pixels' integer coordinates.

    nuScenes' projection rounds to the nearest integer, so the sample of pixel (row, col) lies at u = col, v = row.
    """
    col, row = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    k = camera.intrinsic_33
    rays = np.stack([(col - k[0, 2]) / k[0, 0], (row - k[1, 2]) / k[1, 1], np.ones_like(col)], axis=-1).reshape(-1, 3)
    rays /= np.sqrt((rays * rays).sum(axis=1, keepdims=True))
    rays_N3: F32 = rays.astype(np.float32)
    return rays_N3
