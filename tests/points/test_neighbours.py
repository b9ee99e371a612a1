"""Nearest points against all distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import DataError
from olivine.points.neighbours import fill_rows, nearest_neighbours


def squared_distances(first, second):
    return ((first[:, None].astype(np.float64) - second[None]) ** 2).sum(axis=2)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_points=st.integers(0, 40),
    num_neighbours=st.integers(1, 6),
    steps=st.sampled_from([2, 1000]),
)
def test_neighbours_are_the_nearest_others(seed, num_points, num_neighbours, steps):
    """With two steps an axis many points lie at one place."""
    points = np.random.default_rng(seed).integers(0, steps, (num_points, 3)).astype(np.float32)
    found = nearest_neighbours(points, num_neighbours)
    assert found.dtype == np.int32
    assert found.shape == (num_points, num_neighbours)
    distances = squared_distances(points, points)
    for point, row in enumerate(found.tolist()):
        others = [other for other in range(num_points) if other != point]
        real = min(num_neighbours, len(others))
        assert len(set(row[:real])) == real
        assert point not in row[:real]
        assert row[real:] == [point] * (num_neighbours - real)
        expected = np.sort(distances[point, others])[:real]
        assert np.array_equal(distances[point, row[:real]], expected), "and the nearest first"


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_points=st.integers(1, 40), share=st.floats(0, 1))
def test_points_without_a_row_take_the_nearest_ones(seed, num_points, share):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 10, (num_points, 3)).astype(np.float32)
    rows = rng.integers(0, 100, num_points)
    rows[rng.random(num_points) < share] = -1
    before = rows.copy()
    if (rows < 0).all():
        with pytest.raises(DataError, match=f"here: none of {num_points} points"):
            fill_rows(points, rows, "here")
        return
    filled = fill_rows(points, rows, "here")
    seen = np.flatnonzero(rows >= 0)
    nearest = seen[squared_distances(points, points[seen]).argmin(axis=1)]
    assert np.array_equal(filled, rows[nearest])
    assert np.array_equal(rows, before), "the argument is left alone"


def test_a_whole_sweep_needs_no_tree():
    rows = np.array([2, 0, 1, 0])
    assert fill_rows(np.full((4, 3), np.nan), rows, "here") is rows
