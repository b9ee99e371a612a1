"""Clouds and their batches against plain lists."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.models.cloud import Cloud, CloudBatch, collate, first_point, row_offsets


def cloud(seed, num_cells, num_rows=None, num_neighbours=0):
    """Any cells; rows of their own with `num_rows`, else those of the cells."""
    rng = np.random.default_rng(seed)
    rows = num_cells if num_rows is None else num_rows
    return Cloud(
        coordinates_V3=rng.integers(-9, 9, (num_cells, 3)).astype(np.int32),
        features_VF=rng.normal(size=(num_cells, 2)).astype(np.float32),
        row_N=rng.integers(-1, max(rows, 1), 20) if rows else np.full(20, -1),
        positions_R2=None if num_rows is None else rng.normal(size=(rows, 2)).astype(np.float32),
        neighbours_VK=rng.integers(0, max(num_cells, 1), (num_cells, num_neighbours)).astype(np.int32)
        if num_neighbours
        else None,
    )


def test_rows_are_cells_unless_there_are_positions():
    assert cloud(0, 5).num_rows == 5
    assert cloud(0, 5, num_rows=8).num_rows == 8
    assert cloud(0, 5, num_rows=0).num_rows == 0


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=4),
    with_positions=st.booleans(),
)
def test_a_batch_is_its_sweeps_one_after_the_other(sizes, with_positions):
    clouds = [
        cloud(place, cells, rows if with_positions else None, num_neighbours=3)
        for place, (cells, rows) in enumerate(sizes)
    ]
    batch = collate(clouds)
    first_cell = 0
    for place, one in enumerate(clouds):
        mine = slice(first_cell, first_cell + len(one.coordinates_V3))
        assert (batch.coordinates_V4[mine, 0] == place).all()
        assert np.array_equal(batch.coordinates_V4[mine, 1:], one.coordinates_V3)
        assert np.array_equal(batch.features_VF[mine], one.features_VF)
        assert np.array_equal(batch.neighbours_VK[mine], one.neighbours_VK + first_cell)
        row = row_offsets(clouds)[place]
        assert (batch.batch_R[row : row + one.num_rows] == place).all()
        if with_positions:
            assert np.array_equal(batch.positions_R2[row : row + one.num_rows], one.positions_R2)
        first_cell += len(one.coordinates_V3)
    assert len(batch.coordinates_V4) == first_cell
    assert len(batch.batch_R) == sum(one.num_rows for one in clouds)
    assert (batch.positions_R2 is None) is not with_positions


def test_types_are_those_of_the_networks():
    batch = collate([cloud(0, 3, 4, 2), cloud(1, 2, 5, 2)])
    types = [tensor.dtype for tensor in vars(batch).values()]
    assert types == [torch.int32, torch.float32, torch.int64, torch.float32, torch.int64]


def test_what_no_sweep_has_the_batch_lacks():
    batch = collate([cloud(0, 3), cloud(1, 2)])
    assert batch.positions_R2 is None
    assert batch.neighbours_VK is None
    moved = batch.to(torch.device("meta"))
    assert isinstance(moved, CloudBatch)
    assert moved.features_VF.is_meta
    assert moved.positions_R2 is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-1, 4), max_size=20))
def test_the_first_point_of_a_row_is_its_lowest(rows):
    # Rows are numbered without gaps.
    numbers = {row: place for place, row in enumerate(sorted({row for row in rows if row >= 0}))}
    row_N = np.array([numbers.get(row, -1) for row in rows], np.int64)
    found = first_point(row_N, len(numbers))
    assert found.dtype == np.int64
    assert found.tolist() == [row_N.tolist().index(row) for row in range(len(numbers))]
