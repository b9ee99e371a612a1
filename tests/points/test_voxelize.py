"""Voxelisation against plain dictionaries."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import DataError, UsageError
from olivine.points import voxelize as voxelize_module
from olivine.points.voxelize import group_cells, majority_label, radial_index, voxelize


def cloud(seed, num_points, reach_m=3.0):
    """Points crowded enough that many share a voxel."""
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, reach_m, (num_points, 3))
    return np.column_stack([xyz, rng.integers(0, 256, num_points)]).astype(np.float32)


def cell_of(point, system, size):
    x, y, z = (float(value) for value in point[:3])
    if system == "cylindrical":
        x, y = math.sqrt(x * x + y * y), math.atan2(y, x) * 180 / math.pi
    return tuple(math.floor(value / step) for value, step in zip((x, y, z), size, strict=True))


@settings(max_examples=500, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_points=st.integers(0, 120),
    system=st.sampled_from(["cylindrical", "cartesian"]),
    size=st.sampled_from([(0.1, 1.0, 0.1), (1.0, 30.0, 2.0), (0.5, 0.5, 0.5)]),
    feature=st.sampled_from(["first", "mean"]),
    reach_m=st.sampled_from([3.0, 2e4]),
)
def test_equals_a_dictionary_of_cells(seed, num_points, system, size, feature, reach_m):
    points = cloud(seed, num_points, reach_m)
    members = {}
    for index, point in enumerate(points):
        members.setdefault(cell_of(point, system, size), []).append(index)
    cells = list(members)  # In order of first appearance.

    voxels = voxelize(points, system, size, feature, intensity_scale=0.5)
    assert [tuple(row) for row in voxels.coordinates_V3.tolist()] == cells
    assert voxels.first_V.tolist() == [members[cell][0] for cell in cells]
    assert [cells[voxel] for voxel in voxels.inverse_N.tolist()] == [cell_of(point, system, size) for point in points]
    taken = [members[cell][:1] if feature == "first" else members[cell] for cell in cells]
    expected = [0.5 * math.fsum(float(points[index, 3]) for index in group) / len(group) for group in taken]
    assert voxels.features_V1[:, 0] == pytest.approx(expected, rel=1e-6)


def test_types_and_shapes():
    voxels = voxelize(cloud(0, 50))
    num_voxels = len(voxels.first_V)
    assert voxels.coordinates_V3.dtype == np.int32
    assert voxels.inverse_N.dtype == np.int64
    assert voxels.first_V.dtype == np.int64
    assert voxels.features_V1.dtype == np.float32
    assert voxels.coordinates_V3.shape == (num_voxels, 3)
    assert voxels.features_V1.shape == (num_voxels, 1)


def test_default_is_the_reference_grid_with_intensity_in_zero_to_one():
    voxels = voxelize(np.array([[3.0, 4.0, -0.05, 255.0]]))
    assert voxels.coordinates_V3.tolist() == [[50, 53, -1]]
    assert voxels.features_V1.tolist() == [[1.0]]


def test_a_cloud_wider_than_32_bit_keys():
    points = np.array([[1e5, 1e5, 1e5, 1], [-1e5, -1e5, -1e5, 2], [1e5, 1e5, 1e5, 3], [1e5, -1e5, 0, 4]])
    voxels = voxelize(points, "cartesian", (0.5, 0.5, 0.5), "first", intensity_scale=1.0)
    assert voxels.features_V1[:, 0].tolist() == [1, 2, 4]
    assert voxels.inverse_N.tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("reach", [4, 2**20])
def test_cells_that_share_a_slot_of_the_hash_table(monkeypatch, reach):
    """With a table of two slots nearly every cell is displaced by another."""
    slots = voxelize_module._slots

    def two_slots(keys_N):
        slots_N, table = slots(keys_N)
        return slots_N % 2, table

    monkeypatch.setattr(voxelize_module, "_slots", two_slots)
    cells_3N = np.random.default_rng(0).integers(-reach, reach, (3, 500)).astype(np.int32)
    first_V, inverse_N = group_cells(cells_3N)
    assert (cells_3N[:, first_V][:, inverse_N] == cells_3N).all()
    assert len(first_V) == len({tuple(cell) for cell in cells_3N.T.tolist()})
    assert (first_V[inverse_N] <= np.arange(500)).all()
    assert (np.diff(first_V) > 0).all()


def test_cells_whose_keys_agree_in_their_lower_32_bits():
    last = 2**16 - 1
    cells_3N = np.array([[0, 0, 0], [1, 0, 0], [0, last, last], [1, last, last]], np.int32).T
    assert group_cells(cells_3N)[1].tolist() == [0, 1, 2, 3]


def test_empty_cloud():
    voxels = voxelize(np.empty((0, 4), np.float32))
    assert voxels.coordinates_V3.shape == (0, 3)
    assert voxels.features_V1.shape == (0, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e12])
def test_refuses_points_that_have_no_voxel(value):
    with pytest.raises(DataError, match="not finite, or too far"):
        voxelize(np.array([[0.0, 0, 0, 0], [0.0, 0, value, 0]]))


def test_refuses_a_cloud_too_wide_for_its_keys():
    with pytest.raises(DataError, match="too many for 64-bit keys"):
        voxelize(np.array([[1e8, 1e8, 1e8, 0], [-1e8, -1e8, -1e8, 0]]), "cartesian", (0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    "wrong",
    [{"system": "polar"}, {"feature": "max"}, {"voxel_size": (0.1, 0.0, 0.1)}, {"voxel_size": (0.1, -1.0, 0.1)}],
)
def test_refuses_unknown_settings(wrong):
    with pytest.raises(UsageError):
        voxelize(cloud(0, 3), **wrong)


def test_radial_index_is_the_horizontal_distance():
    points = np.array([[3.0, 4.0, 9.0], [0.0, 0.0, 5.0], [-0.3, 0.0, 0.0], [0.05, 0.0, 1.0]], np.float32)
    index = radial_index(points)
    assert index.dtype == np.int32
    assert index.tolist() == [50, 0, 3, 0]
    assert radial_index(points, bin_m=1.0).tolist() == [5, 0, 0, 0]


def test_radial_index_to_the_nearest():
    points = np.array([[0.4, 0, 0], [0, 0.6, 0], [-2.4, 0, 0], [0, -2.6, 7]], np.float32)
    index = radial_index(points, bin_m=1.0, rounding="nearest")
    assert index.dtype == np.int32
    assert index.tolist() == [0, 1, 2, 3]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=60))
def test_majority_equals_counting(pairs):
    voxel_ids = sorted({voxel for voxel, _ in pairs})
    inverse = np.array([voxel_ids.index(voxel) for voxel, _ in pairs], np.int64)
    labels = np.array([label for _, label in pairs], np.uint8)
    expected = []
    for voxel in range(len(voxel_ids)):
        counts = Counter(int(label) for label, owner in zip(labels, inverse, strict=True) if owner == voxel and label)
        expected.append(min(counts, key=lambda label: (-counts[label], label)) if counts else 0)
    majority = majority_label(labels, inverse, 5)
    assert majority.dtype == np.uint8
    assert majority.tolist() == expected


def test_majority_refuses_foreign_labels():
    with pytest.raises(DataError, match="outside"):
        majority_label(np.array([17], np.uint8), np.array([0]), 17)
    with pytest.raises(DataError, match="2 labels for 1 points"):
        majority_label(np.array([1, 1], np.uint8), np.array([0]), 17)
