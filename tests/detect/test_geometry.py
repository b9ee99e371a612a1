"""Boxes between KITTI's camera and the LiDAR, points inside of them, overlaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_kitti import CALIBRATION, IMAGE_SIZE, calibration, car

from olivine.detect.calibration import parse_calibration
from olivine.detect.geometry import (
    boxes_to_camera,
    boxes_to_lidar,
    ground_iou,
    image_boxes,
    points_in_boxes,
    wrap_angle,
)
from olivine.errors import DataError

boxes = st.tuples(
    *(st.floats(low, high) for low, high in ((1, 70), (-40, 40), (-3, 1), (0.3, 6), (0.3, 3), (0.5, 3), (-3.1, 3.1)))
).map(np.array)


@given(boxes)
def test_to_the_camera_and_back(box):
    back = boxes_to_lidar(*boxes_to_camera(box[None], calibration()), calibration())
    assert back[0] == pytest.approx(box, abs=1e-9)


@given(st.floats(-50, 50))
def test_wrapped_angles_are_the_same_angle(angle):
    wrapped = wrap_angle(np.array([angle]))[0]
    assert -math.pi <= wrapped <= math.pi
    assert (math.cos(wrapped), math.sin(wrapped)) == pytest.approx((math.cos(angle), math.sin(angle)), abs=1e-9)


def test_a_car_straight_ahead_by_hand():
    """With axes that fit exactly: x of the camera is -y of the LiDAR, y is -z, z is x."""
    plain = parse_calibration(
        "P2: 700 0 600 0 0 700 180 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n",
        "by hand",
    )
    # 20 m ahead, 2 m to the right, bottom 1.5 m below the camera, driving away.
    lidar = boxes_to_lidar(np.array([[2.0, 1.5, 20.0]]), np.array([[1.6, 1.7, 4.0]]), np.array([-math.pi / 2]), plain)
    assert lidar[0] == pytest.approx([20, -2, -0.7, 4.0, 1.7, 1.6, 0])
    edges = image_boxes(
        np.array([[2.0, 1.5, 20.0]]), np.array([[1.6, 1.7, 4.0]]), np.array([-math.pi / 2]), plain, (1200, 360)
    )
    # The nearest side is at 18 m, the farthest at 22 m: x from 1.15 to 2.85, y from -0.1 to 1.5.
    left, right = 600 + 700 * 1.15 / 22, 600 + 700 * 2.85 / 18
    assert edges[0] == pytest.approx([left, 180 - 700 * 0.1 / 18, right, 180 + 700 * 1.5 / 18])


def test_a_growing_rotation_y_turns_the_other_way():
    forward = boxes_to_lidar(np.zeros((2, 3)), np.ones((2, 3)), np.array([0.0, 0.1]), calibration())
    assert forward[:, 6] == pytest.approx([-math.pi / 2, -math.pi / 2 - 0.1])


def test_image_boxes_are_cut_at_the_image():
    bottom, size, yaw = boxes_to_camera(np.stack([car(4, 3, 0.3), car(20, 60, 0)]), calibration())
    edges = image_boxes(bottom, size, yaw, calibration(), IMAGE_SIZE)
    assert edges[0, 0] == 0
    assert edges[0, 3] == IMAGE_SIZE[1] - 1
    assert edges[1, 0] == edges[1, 2] == 0


@given(boxes, st.tuples(*[st.floats(-0.99, 0.99)] * 3), st.integers(0, 2), st.sampled_from([-1, 1]))
def test_points_inside_and_outside(box, place, axis, side):
    local = np.array(place) * box[3:6] / 2
    beyond = local.copy()
    beyond[axis] = side * box[3 + axis] / 2 * 1.01
    cos, sin = np.cos(box[6]), np.sin(box[6])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    points = np.stack([local, beyond]) @ turn.T + box[:3]
    assert points_in_boxes(points, box[None])[0].tolist() == [True, False]


@given(boxes, boxes)
def test_ground_iou_is_shapelys(first, second):
    shapely = pytest.importorskip("shapely")
    from shapely.affinity import rotate, translate

    second[:2] = first[:2] + second[:2] / 20
    flats = []
    for x, y, _, length, width, _, yaw in (first, second):
        flat = shapely.box(-length / 2, -width / 2, length / 2, width / 2)
        flats.append(translate(rotate(flat, yaw, origin=(0, 0), use_radians=True), x, y))
    expected = flats[0].intersection(flats[1]).area / flats[0].union(flats[1]).area
    assert ground_iou(first, np.stack([second, first])) == pytest.approx([expected, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("R0_rect", "R1_rect", "R0_rect is missing: is it a file of KITTI's object calibration"),
        ("P2: 721.5377", "P2: ", "P2 has 11 values, but must be 3 x 4 finite numbers"),
        ("P2: 721.5377", "P2: nan", "P2 has 12 values, but must be 3 x 4 finite numbers"),
        ("P2: 721.5377", "P2: x", "P2: could not convert string to float"),
        ("P2: 721.5377", "P2: -721.5377", "focal lengths of P2 are not above zero"),
        ("R0_rect: 0.9999239", "R0_rect: 0.5", "is no rotation"),
    ],
)
def test_unsound_calibration(old, new, message):
    with pytest.raises(DataError, match=f"calib.txt: .*{message}"):
        parse_calibration(CALIBRATION.replace(old, new), "calib.txt")
