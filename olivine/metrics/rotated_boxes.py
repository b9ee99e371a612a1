"""Overlap of rotated boxes on the ground and in space, many pairs at once.

Shapes: P pairs, V corners of a polygon. A rectangle is (x, z, length, width, yaw) in the plane x, z of KITTI's camera
frame: yaw 0 has its length along x, and a positive yaw turns from z to x, as KITTI's rotation_y does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Two rectangles share 8 corners at most; rounding may double one where sides lie on each other.
_MOST_CORNERS = 10


def rectangle_corners(rectangle_P5: Array) -> Array:
    """Corners float64 [P, 4, 2] in one sense of rotation."""
    x_P, z_P, length_P, width_P, yaw_P = rectangle_P5.T
    along_P4 = length_P[:, None] / 2 * np.array([1.0, 1.0, -1.0, -1.0])
    across_P4 = width_P[:, None] / 2 * np.array([1.0, -1.0, -1.0, 1.0])
    cos_P1, sin_P1 = np.cos(yaw_P)[:, None], np.sin(yaw_P)[:, None]
    x_P4 = x_P[:, None] + cos_P1 * along_P4 + sin_P1 * across_P4
    z_P4 = z_P[:, None] - sin_P1 * along_P4 + cos_P1 * across_P4
    return np.stack([x_P4, z_P4], axis=2)


def rectangle_intersection(first_P5: Array, second_P5: Array) -> Array:
    """Common area float64 [P] of pairs of rectangles; 0 where a side is not positive.

    The first is cut by each side of the second in turn (Sutherland and Hodgman 1974).
    """
    area_P = np.zeros(len(first_P5))
    reach_P = (np.hypot(first_P5[:, 2], first_P5[:, 3]) + np.hypot(second_P5[:, 2], second_P5[:, 3])) / 2
    is_near_P = np.hypot(first_P5[:, 0] - second_P5[:, 0], first_P5[:, 1] - second_P5[:, 1]) <= reach_P
    has_area_P = (first_P5[:, 2:4] > 0).all(axis=1) & (second_P5[:, 2:4] > 0).all(axis=1)
    chosen = np.flatnonzero(is_near_P & has_area_P)
    if len(chosen):
        area_P[chosen] = _clipped_area(rectangle_corners(first_P5[chosen]), rectangle_corners(second_P5[chosen]))
    return area_P


def _clipped_area(subject_P42: Array, window_P42: Array) -> Array:
    polygon_PV2 = np.repeat(subject_P42[:, -1:], _MOST_CORNERS, axis=1)
    polygon_PV2[:, :4] = subject_P42
    count_P = np.full(len(subject_P42), 4)
    for side in range(4):
        start_P2, end_P2 = window_P42[:, side], window_P42[:, (side + 1) % 4]
        polygon_PV2, count_P = _cut(polygon_PV2, count_P, start_P2, end_P2 - start_P2)
    # Corners relative to the first keep the digits of small areas far from the origin.
    relative_PV2 = polygon_PV2 - polygon_PV2[:, :1]
    following_PV2 = np.roll(relative_PV2, -1, axis=1)
    doubled_P = (_cross(relative_PV2, following_PV2)).sum(axis=1)
    return np.where(count_P > 2, np.abs(doubled_P) / 2, 0.0)


def _cut(
    polygon_PV2: Array, count_P: NDArray[np.int64], start_P2: Array, direction_P2: Array
) -> tuple[Array, NDArray[np.int64]]:
    """Keep what lies on the inner side of a line. Unused places repeat the last corner: sides of no length."""
    # Corners go round clockwise in (x, z): inside is on the right hand.
    distance_PV = -_cross(direction_P2[:, None], polygon_PV2 - start_P2[:, None])
    following_PV = np.roll(distance_PV, -1, axis=1)
    is_inside_PV = distance_PV >= 0
    crosses_PV = is_inside_PV != (following_PV >= 0)
    share_PV = np.divide(distance_PV, distance_PV - following_PV, out=np.zeros_like(distance_PV), where=crosses_PV)
    cut_PV2 = polygon_PV2 + share_PV[..., None] * (np.roll(polygon_PV2, -1, axis=1) - polygon_PV2)
    is_corner_PV = np.arange(_MOST_CORNERS) < count_P[:, None]
    found_PW2 = np.stack([polygon_PV2, cut_PV2], axis=2).reshape(len(polygon_PV2), -1, 2)
    kept_PW = np.stack([is_inside_PV & is_corner_PV, crosses_PV], axis=2).reshape(len(polygon_PV2), -1)
    count_P = np.minimum(kept_PW.sum(axis=1), _MOST_CORNERS)
    order_PV = np.argsort(~kept_PW, axis=1, kind="stable")[:, :_MOST_CORNERS]
    place_PV = np.minimum(np.arange(_MOST_CORNERS), np.maximum(count_P - 1, 0)[:, None])
    order_PV = np.take_along_axis(order_PV, place_PV, axis=1)
    return np.take_along_axis(found_PW2, order_PV[..., None], axis=1), count_P


def _cross(first: Array, second: Array) -> Array:
    return np.asarray(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])
