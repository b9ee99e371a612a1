"""KITTI's calibration of one frame: from the LiDAR to the rectified camera, and on to the left colour image.

Shapes: N points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError

Array = NDArray[np.float64]
_SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}
# Files give 7 to 13 digits; a matrix typed wrong is off by far more.
_MOST_SKEW = 1e-2


@dataclass(frozen=True)
class Calibration:
    """`lidar_to_camera_44` moves points [m] of the LiDAR into the rectified camera frame (x right, y down, z ahead);
    `camera_to_image_34` projects them to pixels of the left colour image.
    """

    lidar_to_camera_44: Array
    camera_to_image_34: Array

    def to_camera(self, points_N3: NDArray[Any]) -> Array:
        """Points of the LiDAR in the camera frame."""
        moved_N3: Array = points_N3 @ self.lidar_to_camera_44[:3, :3].T + self.lidar_to_camera_44[:3, 3]
        return moved_N3

    def to_lidar(self, points_N3: NDArray[Any]) -> Array:
        """Points of the camera frame in that of the LiDAR."""
        moved_N3: Array = np.linalg.solve(
            self.lidar_to_camera_44[:3, :3], (points_N3 - self.lidar_to_camera_44[:3, 3]).T
        ).T
        return moved_N3

    def to_image(self, points_N3: NDArray[Any]) -> tuple[Array, Array]:
        """Pixels (column, row) float64 [N, 2] and depth [m] [N] of points in the camera frame, which lie before it."""
        seen_N3 = points_N3 @ self.camera_to_image_34[:, :3].T + self.camera_to_image_34[:, 3]
        return seen_N3[:, :2] / seen_N3[:, 2:], seen_N3[:, 2]

    def sees(self, points_N3: NDArray[Any], image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which points of the LiDAR lie before the camera and inside its image of (width, height), bool [N]."""
        points_N3 = self.to_camera(points_N3)
        is_ahead_N = points_N3[:, 2] > 0
        seen_N: NDArray[np.bool_] = np.zeros(len(points_N3), bool)
        pixel_N2, depth_N = self.to_image(points_N3[is_ahead_N])
        seen_N[is_ahead_N] = (pixel_N2 >= 0).all(axis=1) & (pixel_N2 < image_size).all(axis=1) & (depth_N > 0)
        return seen_N


def parse_calibration(text: str, where: str) -> Calibration:
    """The calibration in a file of `calib`.

    Raises:
        DataError: P2, R0_rect or Tr_velo_to_cam is missing, has another number of values, or is no such matrix.
    """
    found: dict[str, Array] = {}
    for line in text.splitlines():
        name, colon, values = line.partition(":")
        if not colon or name.strip() not in _SHAPES:
            continue
        shape = _SHAPES[name.strip()]
        try:
            numbers = np.array([float(value) for value in values.split()])
        except ValueError as error:
            raise DataError(f"{where}: {name.strip()}: {error}") from None
        if numbers.size != shape[0] * shape[1] or not np.isfinite(numbers).all():
            raise DataError(
                f"{where}: {name.strip()} has {numbers.size} values, but must be {shape[0]} x {shape[1]} finite numbers"
            )
        found[name.strip()] = numbers.reshape(shape)
    missing = [name for name in _SHAPES if name not in found]
    if missing:
        raise DataError(f"{where}: {', '.join(missing)} is missing: is it a file of KITTI's object calibration?")
    lidar_to_camera_44 = _square(found["R0_rect"]) @ _square(found["Tr_velo_to_cam"])
    turn_33 = lidar_to_camera_44[:3, :3]
    if np.abs(turn_33 @ turn_33.T - np.eye(3)).max() > _MOST_SKEW or np.linalg.det(turn_33) < 0:
        raise DataError(f"{where}: R0_rect times Tr_velo_to_cam is no rotation: copy the file again")
    if min(found["P2"][0, 0], found["P2"][1, 1]) <= 0:
        raise DataError(f"{where}: the focal lengths of P2 are not above zero: copy the file again")
    return Calibration(lidar_to_camera_44, found["P2"])


def _square(matrix: Array) -> Array:
    whole_44 = np.eye(4)
    whole_44[:3, : matrix.shape[1]] = matrix
    return whole_44
