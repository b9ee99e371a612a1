"""Boxes in the LiDAR's frame: to and from KITTI's camera frame, corners, points inside, overlaps on the ground.

Shapes: B boxes, N points. A box is (x, y, z of its centre, length, width, height [m], yaw [rad]); yaw turns from x to
y, and the length lies along x at yaw 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.detect.calibration import Calibration
from olivine.metrics.rotated_boxes import rectangle_intersection

Array = NDArray[np.float64]


def wrap_angle(angle_B: NDArray[Any]) -> NDArray[Any]:
    """The same angles [rad] from -pi up to, and without, pi."""
    wrapped_B: NDArray[Any] = angle_B - 2 * np.pi * np.floor(angle_B / (2 * np.pi) + 0.5)
    return wrapped_B


def boxes_to_lidar(bottom_B3: Array, size_B3: Array, yaw_B: Array, calibration: Calibration) -> Array:
    """Boxes float64 [B, 7] of labels: bottom centre in the camera frame, (height, width, length) and rotation_y."""
    boxes_B7 = np.empty((len(yaw_B), 7))
    boxes_B7[:, :3] = calibration.to_lidar(bottom_B3)
    boxes_B7[:, 2] += size_B3[:, 0] / 2
    boxes_B7[:, 3:6] = size_B3[:, ::-1]
    # At rotation_y 0 the length lies along the camera's x, the LiDAR's -y; a growing rotation_y turns the other way.
    boxes_B7[:, 6] = wrap_angle(-yaw_B - np.pi / 2)
    return boxes_B7


def boxes_to_camera(boxes_B7: Array, calibration: Calibration) -> tuple[Array, Array, Array]:
    """The way back: bottom centre [B, 3] in the camera frame, (height, width, length) [B, 3], rotation_y [B]."""
    centre_B3 = boxes_B7[:, :3].copy()
    centre_B3[:, 2] -= boxes_B7[:, 5] / 2
    return calibration.to_camera(centre_B3), boxes_B7[:, 5:2:-1], wrap_angle(-boxes_B7[:, 6] - np.pi / 2)


def image_boxes(
    bottom_B3: Array, size_B3: Array, yaw_B: Array, calibration: Calibration, image_size: tuple[int, int]
) -> Array:
    """(left, top, right, bottom) [pixels] float64 [B, 4] around boxes in the camera frame, cut at the image's edges.

    Corners behind the camera are taken at 0.1 m before it.
    """
    signs_82 = np.array([(x, z) for x in (-0.5, 0.5) for z in (-0.5, 0.5)] * 2)
    along_B8, across_B8 = (size_B3[:, [axis]] * signs_82[:, column] for column, axis in enumerate((2, 1)))
    cos_B1, sin_B1 = np.cos(yaw_B)[:, None], np.sin(yaw_B)[:, None]
    up_B8 = size_B3[:, :1] * np.repeat([0.0, 1.0], 4)
    corners_B83 = bottom_B3[:, None] + np.stack(
        [cos_B1 * along_B8 + sin_B1 * across_B8, -up_B8, -sin_B1 * along_B8 + cos_B1 * across_B8], axis=2
    )
    corners_B83[..., 2] = np.maximum(corners_B83[..., 2], 0.1)
    pixel_B82 = calibration.to_image(corners_B83.reshape(-1, 3))[0].reshape(len(yaw_B), 8, 2)
    edges_B4 = np.concatenate([pixel_B82.min(axis=1), pixel_B82.max(axis=1)], axis=1)
    # The last pixel, as KITTI's own labels are cut.
    cut_B4: Array = np.clip(edges_B4, 0, np.array([*image_size, *image_size]) - 1)
    return cut_B4


def points_in_boxes(points_N3: NDArray[Any], boxes_B7: Array) -> NDArray[np.bool_]:
    """Which points lie in which box, borders included, bool [B, N]."""
    inside_BN = np.empty((len(boxes_B7), len(points_N3)), bool)
    for row, (x, y, z, length, width, height, yaw) in enumerate(boxes_B7):
        offset_N3 = points_N3[:, :3] - np.array([x, y, z])
        along_N = np.cos(yaw) * offset_N3[:, 0] + np.sin(yaw) * offset_N3[:, 1]
        across_N = np.cos(yaw) * offset_N3[:, 1] - np.sin(yaw) * offset_N3[:, 0]
        inside_BN[row] = (
            (np.abs(along_N) <= length / 2) & (np.abs(across_N) <= width / 2) & (np.abs(offset_N3[:, 2]) <= height / 2)
        )
    return inside_BN


def ground_iou(box_7: Array, boxes_B7: Array) -> Array:
    """IoU float64 [B] of one box with others, seen from above."""
    rectangles_B5 = boxes_B7[:, [0, 1, 3, 4, 6]]
    # In `rotated_boxes` a positive yaw turns the other way.
    rectangles_B5[:, 4] *= -1
    first_B5 = np.broadcast_to(box_7[[0, 1, 3, 4, 6]] * [1, 1, 1, 1, -1], rectangles_B5.shape)
    common_B = rectangle_intersection(first_B5, rectangles_B5)
    union_B = box_7[3] * box_7[4] + boxes_B7[:, 3] * boxes_B7[:, 4] - common_B
    return np.divide(common_B, union_B, out=np.zeros_like(common_B), where=union_B > 0)
