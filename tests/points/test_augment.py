"""Augmentation: what stays the same, what moves, and that one seed gives one result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.points.augment import drop_cuboid, remap_pairs, rotate_flip

seeds = st.integers(0, 2**32 - 1)


def cloud(seed, num_points):
    return np.random.default_rng(seed).normal(0, 20, (num_points, 4)).astype(np.float32)


def pairs_of(num_points, num_images=6):
    """Every point is seen by every image."""
    return np.tile(np.arange(num_points, dtype=np.int32), num_images), np.repeat(np.arange(num_images), num_points)


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_rotation_keeps_distances_height_and_intensity(seed):
    points = cloud(seed, 30)
    before = points.copy()
    turned = rotate_flip(points, np.random.default_rng(seed))
    assert (points == before).all()
    assert turned.dtype == points.dtype
    assert (turned[:, 2:] == points[:, 2:]).all()
    distances, turned_distances = (np.linalg.norm(p[:, None, :3] - p[None, :, :3], axis=2) for p in (points, turned))
    np.testing.assert_allclose(turned_distances, distances, atol=1e-3)


def test_rotation_and_both_flips_occur():
    """x and y unit vectors: the determinant tells mirrored from not; all angles occur."""
    unit = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    angles, determinants = [], []
    for seed in range(400):
        turned = rotate_flip(unit, np.random.default_rng(seed))
        determinants.append(round(float(np.linalg.det(turned[:, :2]))))
        angles.append(np.arctan2(turned[0, 1], turned[0, 0]))
    assert set(determinants) == {-1, 1}
    assert 120 < determinants.count(-1) < 280
    counts, _ = np.histogram(angles, bins=8, range=(-np.pi, np.pi))
    assert counts.min() > 20


def test_rotation_follows_the_documented_draws():
    rng = np.random.default_rng(7)
    angle, flips = rng.uniform(0, 2 * np.pi), np.random.default_rng(7)
    flips.uniform()
    flip_x, flip_y = np.where(flips.random(2) < 0.5, -1, 1)
    x, y = rotate_flip(np.array([[1.0, 0.0, 0.0, 0.0]]), np.random.default_rng(7))[0, :2]
    assert (x, y) == pytest.approx((flip_x * np.cos(angle), flip_y * np.sin(angle)))


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_cuboid_equals_plain_loops(seed):
    points = cloud(seed, 60)
    keep = drop_cuboid(points, *pairs_of(60), np.random.default_rng(seed), max_fraction=1.5, min_pairs_per_image=0)
    rng = np.random.default_rng(seed)
    fraction, centre = rng.uniform(0, 1.5), points[int(rng.random() * 60)]
    for index, point in enumerate(points):
        inside = True
        for axis in range(3):
            half_size = fraction * (points[:, axis].max() - points[:, axis].min()) / 2
            inside &= bool(abs(point[axis] - centre[axis]) < half_size)
        assert keep[index] == (not inside)


def test_cuboid_is_rejected_when_an_image_would_keep_too_few_pairs():
    points = cloud(0, 200)
    point_M, image_M = pairs_of(200)
    keep = drop_cuboid(points, point_M, image_M, np.random.default_rng(1), max_fraction=1.0, min_pairs_per_image=1)
    left = int(keep.sum())
    assert 0 < left < 200
    accepted = drop_cuboid(points, point_M, image_M, np.random.default_rng(1), 1.0, min_pairs_per_image=left)
    assert (accepted == keep).all()
    assert drop_cuboid(points, point_M, image_M, np.random.default_rng(1), 1.0, min_pairs_per_image=left + 1) is None
    without_last_image = image_M < 5
    few = (point_M[without_last_image], image_M[without_last_image])
    assert drop_cuboid(points, *few, np.random.default_rng(1), 1.0, min_pairs_per_image=1) is None


def test_cuboid_removes_points_strictly_inside_alone():
    """With no extent there is no inside: nothing may be removed."""
    points = np.zeros((5, 4), np.float32)
    assert drop_cuboid(points, *pairs_of(5), np.random.default_rng(0), min_pairs_per_image=1).all()


def test_cuboid_of_nothing():
    empty = np.empty(0, np.int32)
    assert drop_cuboid(np.empty((0, 4)), empty, empty, np.random.default_rng(0)) is None


def test_draws_do_not_depend_on_the_outcome():
    """Else a resumed or re-sharded epoch would augment later samples differently."""
    states = []
    for min_pairs in (0, 10**6):
        rng = np.random.default_rng(3)
        drop_cuboid(cloud(0, 50), *pairs_of(50), rng, min_pairs_per_image=min_pairs)
        states.append(rng.random())
    assert states[0] == states[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30), seeds)
def test_remapped_pairs_name_the_same_points(keep, seed):
    keep_N = np.array(keep)
    pair_point_M = np.random.default_rng(seed).integers(0, len(keep), 40).astype(np.int32)
    pair_keep_M, new_point = remap_pairs(pair_point_M, keep_N)
    old = np.arange(len(keep))
    assert pair_keep_M.tolist() == [keep[point] for point in pair_point_M]
    assert new_point.dtype == np.int32
    assert old[keep_N][new_point].tolist() == [point for point in pair_point_M if keep[point]]
