"""Common area of rotated rectangles: by hand, and against an independent geometry library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.metrics.rotated_boxes import rectangle_corners, rectangle_intersection


def common(first, second):
    return float(rectangle_intersection(np.array([first], float), np.array([second], float))[0])


@pytest.mark.parametrize(
    ("first", "second", "area"),
    [
        ((0, 0, 4, 2, 0), (0, 0, 4, 2, 0), 8),
        ((0, 0, 4, 2, 0), (0, 0, 4, 2, math.pi), 8),
        ((0, 0, 4, 2, 0), (0, 0, 4, 2, math.pi / 2), 4),
        ((0, 0, 4, 2, 0), (2, 0, 4, 2, 0), 4),
        ((0, 0, 4, 2, 0), (4, 0, 4, 2, 0), 0),
        ((0, 0, 4, 2, 0), (9, 9, 4, 2, 1), 0),
        ((0, 0, 4, 2, 0.3), (0, 0, 1, 1, 1.2), 1),
        ((0, 0, 1, 1, 0), (0, 0, 1, 1, math.pi / 4), 2 * (math.sqrt(2) - 1)),
        ((1000, -1000, 1, 1, 0), (1000, -1000, 1, 1, math.pi / 4), 2 * (math.sqrt(2) - 1)),
        ((0, 0, -1, -1, 0), (0, 0, 4, 2, 0), 0),
        ((0, 0, 0, 2, 0), (0, 0, 4, 2, 0), 0),
    ],
)
def test_by_hand(first, second, area):
    assert common(first, second) == pytest.approx(area, abs=1e-9)
    assert common(second, first) == pytest.approx(area, abs=1e-9)


def test_a_positive_yaw_turns_from_z_to_x():
    corners = rectangle_corners(np.array([[10.0, 20.0, 4.0, 2.0, math.pi / 6]]))[0]
    front = corners[:2].mean(axis=0) - [10, 20]
    assert front == pytest.approx([2 * math.cos(math.pi / 6), -2 * math.sin(math.pi / 6)])


numbers = st.floats(-3, 3)
rectangles = st.tuples(numbers, numbers, st.floats(0.01, 5), st.floats(0.01, 5), st.sampled_from([0, 0.5, 1.5707963]))


@settings(max_examples=100)
@given(pairs=st.lists(st.tuples(rectangles, rectangles, st.floats(-4, 4)), min_size=1, max_size=8))
def test_equals_a_geometry_library(pairs):
    shapely = pytest.importorskip("shapely")
    first = np.array([pair[0] for pair in pairs])
    second = np.array([pair[1] for pair in pairs])
    second[:, 4] += [pair[2] for pair in pairs]
    polygons = [[shapely.Polygon(corners) for corners in rectangle_corners(boxes)] for boxes in (first, second)]
    expected = [one.intersection(other).area for one, other in zip(*polygons, strict=True)]
    assert rectangle_intersection(first, second) == pytest.approx(expected, abs=1e-7)


def test_many_pairs_are_each_their_own():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0.5, 3, (2, 200, 5))
    together = rectangle_intersection(first, second)
    alone = [common(one, other) for one, other in zip(first, second, strict=True)]
    assert together == pytest.approx(alone, abs=1e-12)
    assert np.count_nonzero(together) > 100
    assert rectangle_intersection(first[:0], second[:0]).shape == (0,)
