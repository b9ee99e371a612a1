"""Where the LiDAR was at each scan of a sequence, from KITTI's poses.txt and calib.txt. Shapes: S scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError

Array = NDArray[np.float64]

_CALIBRATION, _POSES = "calib.txt", "poses.txt"
# Files give 7 digits and more; a matrix typed wrong is off by far more.
_MOST_SKEW = 1e-2


def read_poses(folder: Path) -> Array | None:
    """Matrices float64 [S, 4, 4] that move points [m] of the LiDAR at scan S into its frame at the first one.

    The files give the left camera's poses P and the transform T from the LiDAR to that camera: T^-1 P T.

    Args:
        folder: that of a sequence, which `velodyne` lies in.

    Returns:
        None where there is no poses.txt.

    Raises:
        DataError: a line that is no pose, or no calibration beside the poses.
    """
    path = folder / _POSES
    if not path.is_file():
        return None
    to_camera_44 = _read_lidar_to_camera(folder / _CALIBRATION)
    lines = path.read_text("utf-8", "replace").splitlines()
    poses_S44 = np.array([_matrix(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)])
    if not len(poses_S44):
        raise DataError(f"{path} is empty: copy it again")
    moved_S44: Array = np.linalg.inv(to_camera_44) @ poses_S44 @ to_camera_44
    return moved_S44


def driven_m(poses_S44: Array) -> float:
    """Length [m] of the path from scan to scan."""
    return float(np.linalg.norm(np.diff(poses_S44[:, :3, 3], axis=0), axis=1).sum())


def _read_lidar_to_camera(path: Path) -> Array:
    if not path.is_file():
        raise DataError(f"{path} is missing: poses are of the camera, and it says where the LiDAR is")
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
        name, _, values = line.partition(":")
        if name.strip() == "Tr":
            return _matrix(values, f"{path}, line {number}")
    raise DataError(f"{path} has no line Tr, from the LiDAR to the camera")


def _matrix(text: str, where: str) -> Array:
    """A rotation and a translation, row by row."""
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    if numbers.size != 12 or not np.isfinite(numbers).all():
        raise DataError(f"{where}: {numbers.size} values, but a pose has 12 finite ones")
    whole_44 = np.vstack([numbers.reshape(3, 4), [0, 0, 0, 1]])
    turn_33 = whole_44[:3, :3]
    if np.abs(turn_33 @ turn_33.T - np.eye(3)).max() > _MOST_SKEW or np.linalg.det(turn_33) < 0:
        raise DataError(f"{where}: its first three columns are no rotation")
    return whole_44
