"""Rigid poses in float64, and the unit quaternions (w, x, y, z) of the nuScenes tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from olivine.synth.arrays import F64


@dataclass(frozen=True)
class Pose:
    """A rigid motion: point in the parent frame = rotation_33 @ point + translation_3 (metres)."""

    rotation_33: F64
    translation_3: F64

    def __matmul__(self, inner: Pose) -> Pose:
        """The pose of `inner`'s frame in this pose's parent frame."""
        return Pose(self.rotation_33 @ inner.rotation_33, self.rotation_33 @ inner.translation_3 + self.translation_3)

    def apply(self, points_N3: F64) -> F64:
        """Points [N, 3] of the inner frame, given in the parent frame."""
        moved: F64 = np.einsum("ij,nj->ni", self.rotation_33, points_N3) + self.translation_3
        return moved

    def unapply(self, points_N3: F64) -> F64:
        """Points [N, 3] of the parent frame, given in the inner frame."""
        moved: F64 = np.einsum("ji,nj->ni", self.rotation_33, points_N3 - self.translation_3)
        return moved

    def quaternion(self) -> list[float]:
        """The rotation as a unit quaternion [w, x, y, z] with w >= 0."""
        return quaternion_of(self.rotation_33)


def euler_rotation(yaw_rad: float, pitch_rad: float = 0.0, roll_rad: float = 0.0) -> F64:
    """Rotation [3, 3] about z (yaw), then the new y (pitch), then the new x (roll); angles in radians."""
    cz, sz = math.cos(yaw_rad), math.sin(yaw_rad)
    cy, sy = math.cos(pitch_rad), math.sin(pitch_rad)
    cx, sx = math.cos(roll_rad), math.sin(roll_rad)
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    product: F64 = about_z @ about_y @ about_x
    return product


def quaternion_of(rotation_33: F64) -> list[float]:
    """Unit quaternion [w, x, y, z], w >= 0, of a rotation matrix; stable for all angles (largest component first)."""
    r = rotation_33
    squares = np.array(
        [
            1.0 + r[0, 0] + r[1, 1] + r[2, 2],
            1.0 + r[0, 0] - r[1, 1] - r[2, 2],
            1.0 - r[0, 0] + r[1, 1] - r[2, 2],
            1.0 - r[0, 0] - r[1, 1] + r[2, 2],
        ]
    )
    products = np.array(
        [
            [squares[0], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], squares[1], r[1, 0] + r[0, 1], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], squares[2], r[2, 1] + r[1, 2]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[2, 1] + r[1, 2], squares[3]],
        ]
    )
    row = products[int(np.argmax(squares))]
    unit = row / np.sqrt((row * row).sum())
    return [float(x) for x in (unit if unit[0] >= 0 else -unit)]
