"""Further clouds: matches hold one point, segments are carried by place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.models.cloud import Cloud
from olivine.models.network import prepare_cloud
from olivine.models.network_recipe import NetworkRecipe
from olivine.points.augment import rotate_flip
from olivine.pretrain.views import carry_segments, match_views, point_segments

NETWORK = NetworkRecipe(coordinates="cartesian", voxel_size=(0.5, 0.5, 0.5))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 300))
def test_matched_rows_share_a_point(seed, num_rows):
    rng = np.random.default_rng(seed)
    points_N4 = rng.uniform(-10, 10, (200, 4)).astype(np.float32)
    first, second = (prepare_cloud(rotate_flip(points_N4, rng), NETWORK) for _ in range(2))
    matches_K2 = match_views(first, second, num_rows, rng)
    together = set(zip(first.row_N.tolist(), second.row_N.tolist(), strict=True))
    assert {tuple(match) for match in matches_K2.tolist()} <= together
    assert len(set(matches_K2[:, 0].tolist())) == len(matches_K2) == min(num_rows, first.num_rows)


def test_points_that_a_view_does_not_see_are_not_matched():
    empty = np.zeros((0, 3), np.int32), np.zeros((0, 1), np.float32)
    first = Cloud(*empty, row_N=np.array([0, -1, 1, 2]))
    second = Cloud(*empty, row_N=np.array([-1, 0, 5, 5]))
    matches_K2 = match_views(first, second, 9, np.random.default_rng(0))
    assert matches_K2.tolist() == [[1, 5], [2, 5]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.2, 3))
def test_a_later_point_takes_the_segment_of_its_cell(seed, cell_m):
    rng = np.random.default_rng(seed)
    points_N3, later_P3 = rng.uniform(-3, 3, (40, 3)), rng.uniform(-3, 3, (30, 3))
    segment_N = rng.integers(-1, 4, 40)
    found_P = carry_segments(points_N3, segment_N, later_P3, cell_m)
    cells = [tuple(cell) for cell in np.floor(points_N3 / cell_m).astype(int)]
    for place, found in zip(np.floor(later_P3 / cell_m).astype(int), found_P, strict=True):
        inside = [s for cell, s in zip(cells, segment_N, strict=True) if cell == tuple(place) and s >= 0]
        assert found == (inside[0] if inside else -1)


def test_a_point_has_the_segment_of_its_first_pair_with_one():
    pair_point_M = np.array([2, 0, 2, 2, 1], np.int32)
    assert point_segments(pair_point_M, np.array([-1, 7, 5, 6, -1]), 4).tolist() == [7, -1, 5, -1]


@pytest.mark.parametrize("segment", [-1, 3])
def test_no_later_point_and_no_segment(segment):
    assert carry_segments(np.zeros((2, 3)), np.full(2, segment), np.zeros((0, 3)), 0.5).tolist() == []
    assert carry_segments(np.zeros((2, 3)), np.full(2, segment), np.zeros((1, 3)), 0.5).tolist() == [segment]
