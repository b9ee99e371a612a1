"""Project one LiDAR sweep into the cameras of its keyframe: which point falls on which pixel.

Shapes: N points, M pairs (a point and the pixel it falls on), 33 / 44 matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olivine.errors import DataError

ROTATION_TOLERANCE = 1e-3
"""How far a quaternion's norm, or R R^T - 1, may be from exact: published records carry six digits or more."""

_LONGEST_SIDE_PX = np.iinfo(np.int16).max
_REMEDY = "repair the calibration, or leave this keyframe out"


@dataclass(frozen=True)
class Camera:
    """One camera at the moment of its image.

    `lidar_to_camera_44` takes homogeneous points [m] of the sweep into the camera's frame (z forward), float64;
    `intrinsic_33` is the pinhole matrix in pixels of an image of `width_px` x `height_px`.
    Raises DataError when the matrix is not that of a pinhole, or the size is not that of an image.
    """

    name: str
    lidar_to_camera_44: NDArray[np.float64]
    intrinsic_33: NDArray[np.float64]
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        k_33 = self.intrinsic_33
        pinhole = k_33.shape == (3, 3) and np.isfinite(k_33).all() and k_33[2].tolist() == [0, 0, 1]
        if not pinhole or min(k_33[0, 0], k_33[1, 1]) <= 0:
            raise DataError(f"{self.name}: {k_33.tolist()} is not the matrix of a pinhole camera; {_REMEDY}")
        if not (0 < self.width_px <= _LONGEST_SIDE_PX and 0 < self.height_px <= _LONGEST_SIDE_PX):
            raise DataError(f"{self.name}: {self.width_px} x {self.height_px} is not an image size; {_REMEDY}")


@dataclass(frozen=True)
class Pairs:
    """Point-pixel correspondences: `point_M` int32 indexes the raw sweep, `pixel_M3` int16 is (image, row, col)."""

    point_M: NDArray[np.int32]
    pixel_M3: NDArray[np.int16]


def rotation_from_quaternion(quaternion_wxyz: ArrayLike, where: str = "rotation") -> NDArray[np.float64]:
    """Rotation matrix [3, 3] float64 of a quaternion (w, x, y, z), normalised first.

    Raises DataError, naming `where`, when it is not four finite numbers with a norm within 1e-3 of one.
    """
    quaternion = np.asarray(quaternion_wxyz, dtype=np.float64)
    norm = float(np.linalg.norm(quaternion)) if quaternion.shape == (4,) else float("nan")
    if not abs(norm - 1.0) <= ROTATION_TOLERANCE:
        raise DataError(f"{where} is not a rotation: quaternion {quaternion.tolist()} has norm {norm:.6g}; {_REMEDY}")
    w, x, y, z = quaternion / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def fuse_transforms(
    lidar_calibration: Mapping[str, Any],
    lidar_ego: Mapping[str, Any],
    camera_ego: Mapping[str, Any],
    camera_calibration: Mapping[str, Any],
) -> NDArray[np.float64]:
    """LiDAR frame to camera frame through both ego poses, as one 4x4 matrix in float64.

    The four records are those of nuScenes: "rotation" (w, x, y, z) and "translation" [m]. The two ego poses differ,
    because the sweep and the image are taken at different times while the vehicle moves.
    """
    sensor_to_ego = _rigid(lidar_calibration, "LiDAR calibration")
    ego_to_global = _rigid(lidar_ego, "ego pose of the LiDAR")
    global_to_ego = _inverse(_rigid(camera_ego, "ego pose of the camera"))
    ego_to_camera = _inverse(_rigid(camera_calibration, "camera calibration"))
    fused: NDArray[np.float64] = ego_to_camera @ global_to_ego @ ego_to_global @ sensor_to_ego
    return fused


def lidar_to_global(lidar_calibration: Mapping[str, Any], lidar_ego: Mapping[str, Any]) -> NDArray[np.float64]:
    """LiDAR frame to the world, as one 4x4 matrix in float64; records as in `fuse_transforms`."""
    sensor_to_ego = _rigid(lidar_calibration, "LiDAR calibration")
    world: NDArray[np.float64] = _rigid(lidar_ego, "ego pose of the LiDAR") @ sensor_to_ego
    return world


def project_points(points_N3: NDArray[Any], cameras: Sequence[Camera], min_depth_m: float = 1.0) -> Pairs:
    """Pairs of all `cameras` for the raw sweep `points_N3` [m], by camera and then by point.

    A point is kept when depth > `min_depth_m`, 0 < u < width - 1 and 0 < v < height - 1, all strict, and its pixel is
    (v, u) rounded half to even, in float64. There is no occlusion test, and a point that two cameras see makes two
    pairs. (Reference code, `map_pointcloud_to_image` of the training loader.)
    """
    if not cameras:
        return Pairs(np.empty(0, np.int32), np.empty((0, 3), np.int16))
    homogeneous_4N = np.ones((4, len(points_N3)))
    homogeneous_4N[:3] = np.asarray(points_N3)[:, :3].T
    # Camera by camera: 0.8 MB stay in the cache, and most points are dismissed before the division. One product for all
    # six cameras takes five times as long.
    found = [_pairs_of(image, homogeneous_4N, camera, min_depth_m) for image, camera in enumerate(cameras)]
    return Pairs(np.concatenate([point for point, _ in found]), np.concatenate([pixel for _, pixel in found]))


def _pairs_of(
    image: int, homogeneous_4N: NDArray[np.float64], camera: Camera, min_depth_m: float
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """The pairs of one camera: point indices and (image, row, col)."""
    x_N, y_N, depth_N = (camera.intrinsic_33 @ camera.lidar_to_camera_44[:3]) @ homogeneous_4N
    in_view_N = depth_N > min_depth_m
    # Before the division; at the far side a pixel too wide, so that rounding cannot dismiss what the exact test keeps.
    for scaled_N, side_px in ((x_N, camera.width_px), (y_N, camera.height_px)):
        in_view_N &= scaled_N > 0
        in_view_N &= scaled_N < side_px * depth_N
    front = np.flatnonzero(in_view_N)
    u, v = x_N[front] / depth_N[front], y_N[front] / depth_N[front]
    inside = (u < camera.width_px - 1) & (v < camera.height_px - 1)
    point_M = front[inside].astype(np.int32)
    pixel_M3 = np.empty((len(point_M), 3), np.int16)
    pixel_M3[:, 0] = image
    pixel_M3[:, 1] = np.rint(v[inside])
    pixel_M3[:, 2] = np.rint(u[inside])
    return point_M, pixel_M3


def _rigid(record: Mapping[str, Any], where: str) -> NDArray[np.float64]:
    translation_3 = np.asarray(record["translation"], dtype=np.float64)
    if translation_3.shape != (3,) or not np.isfinite(translation_3).all():
        raise DataError(f"{where}: translation {translation_3.tolist()} is not three finite numbers; {_REMEDY}")
    matrix_44 = np.eye(4)
    matrix_44[:3, :3] = rotation_from_quaternion(record["rotation"], f"{where}: rotation")
    matrix_44[:3, 3] = translation_3
    return matrix_44


def _inverse(rigid_44: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a rigid transform: the transpose of its rotation, exactly as the published chain uses it."""
    inverse_44 = np.eye(4)
    inverse_44[:3, :3] = rigid_44[:3, :3].T
    inverse_44[:3, 3] = -rigid_44[:3, :3].T @ rigid_44[:3, 3]
    return inverse_44
