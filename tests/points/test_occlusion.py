"""The depth buffer, against a loop over all pairs of pairs."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.points.occlusion import visible_pairs


def by_loops(depth_M, pixel_M3, cell_px, tolerance):
    cells = [(image, row // cell_px, column // cell_px) for image, row, column in pixel_M3.tolist()]
    visible = []
    for depth, (image, row, column) in zip(depth_M, cells, strict=True):
        near = [
            other
            for other, (i, r, c) in zip(depth_M, cells, strict=True)
            if i == image and abs(r - row) <= 1 and abs(c - column) <= 1
        ]
        visible.append(depth <= min(near) * (1 + tolerance))
    return visible


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.floats(0, 0.5), st.integers(0, 2**31))
def test_it_is_the_nearest_around_that_hides(num_pairs, cell_px, tolerance, seed):
    rng = np.random.default_rng(seed)
    depth_M = rng.uniform(1, 50, num_pairs)
    pixel_M3 = np.stack([rng.integers(0, side, num_pairs) for side in (3, 30, 40)], axis=1).astype(np.int16)
    assert visible_pairs(depth_M, pixel_M3, cell_px, tolerance).tolist() == by_loops(
        depth_M, pixel_M3, cell_px, tolerance
    )


def test_a_wall_behind_a_pole_is_hidden_and_the_road_is_not():
    pixel_M3 = np.array([[0, 50, 50], [0, 51, 51], [0, 52, 200]])
    assert visible_pairs(np.array([5.0, 20.0, 20.0]), pixel_M3, 16, 0.1).tolist() == [True, False, True]
    assert visible_pairs(np.array([5.0, 5.4]), pixel_M3[:2], 16, 0.1).tolist() == [True, True]
