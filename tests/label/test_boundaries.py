"""Boundaries at full resolution against a loop over pixels in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from olivine.label.boundaries import SlicSpace, refine_boundaries

SPACE = SlicSpace(low=10, high=250, compactness=6.0, side_px=12.0)


def blocks_of(image_HW3, n):
    """Mean colour of each block; the last ones of a side may hold fewer pixels."""
    height, width = image_HW3.shape[:2]
    rows, columns = range(0, height, n), range(0, width, n)
    means = [[image_HW3[r : r + n, c : c + n].mean(axis=(0, 1)) for c in columns] for r in rows]
    return np.rint(means).astype(np.uint8)


def point(rgb, row, column, space):
    stretched = np.clip((np.asarray(rgb, float) - space.low) / (space.high - space.low), 0, 1)
    return np.append(rgb2lab(stretched[None])[0] / space.compactness, np.array([row, column]) / space.side_px)


def expected_distances(ids_hw, blocks_hw3, image_HW3, n, space):
    """For each pixel, the squared distance to each segment that meets in its block."""
    members = {}
    for (row, column), segment in np.ndenumerate(ids_hw):
        middle = row * n + (n - 1) / 2, column * n + (n - 1) / 2
        members.setdefault(int(segment), []).append(point(blocks_hw3[row, column], *middle, space))
    centre = {segment: np.mean(points, axis=0) for segment, points in members.items()}
    for row, column in np.ndindex(image_HW3.shape[:2]):
        r, c = row // n, column // n
        near = [(r, c), (r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
        meeting = {int(ids_hw[y, x]) for y, x in near if 0 <= y < ids_hw.shape[0] and 0 <= x < ids_hw.shape[1]}
        here = point(image_HW3[row, column], row, column, space)
        yield (row, column), {segment: float(((here - centre[segment]) ** 2).sum()) for segment in meeting}


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 4), height=st.integers(5, 14), width=st.integers(5, 14))
def test_each_pixel_goes_to_the_nearest_segment_that_meets_in_its_block(seed, n, height, width):
    rng = np.random.default_rng(seed)
    image_HW3 = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    blocks_hw3 = blocks_of(image_HW3, n)
    # Every id is used: runs of equal ids, in the order of the blocks.
    ids_hw = (np.arange(blocks_hw3[..., 0].size) // 3).reshape(blocks_hw3.shape[:2])
    found_HW = refine_boundaries(ids_hw, blocks_hw3, image_HW3, n, SPACE)
    assert found_HW.shape == (height, width)
    for pixel, distances in expected_distances(ids_hw, blocks_hw3, image_HW3, n, SPACE):
        assert distances[int(found_HW[pixel])] <= min(distances.values()) + 1e-3, pixel


def test_inside_a_segment_nothing_changes():
    image_HW3 = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    ids_hw = np.repeat([[0, 1]], 6, axis=0).repeat(3, axis=1)
    found_HW = refine_boundaries(ids_hw, blocks_of(image_HW3, 4), image_HW3, 4, SPACE)
    assert (found_HW[:, :8] == 0).all()
    assert (found_HW[:, 16:] == 1).all()
    assert len(np.unique(found_HW[:, 8:16])) == 2


@pytest.mark.parametrize("edge", [5, 6, 7, 8])
def test_an_edge_inside_a_block_is_found(edge):
    """Black and white meet at a column that no block begins with."""
    image_HW3 = np.zeros((16, 16, 3), np.uint8)
    image_HW3[:, edge:] = 255
    ids_hw = np.repeat([[0, 0, 1, 1]], 4, axis=0) if edge > 6 else np.repeat([[0, 1, 1, 1]], 4, axis=0)
    space = SlicSpace(low=0, high=255, compactness=6.0, side_px=8.0)
    found_HW = refine_boundaries(ids_hw, blocks_of(image_HW3, 4), image_HW3, 4, space)
    assert np.array_equal(found_HW, np.repeat([np.arange(16) >= edge], 16, axis=0))


def test_one_segment_stays_one():
    image_HW3 = np.random.default_rng(1).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    found_HW = refine_boundaries(np.zeros((3, 3), np.int64), blocks_of(image_HW3, 3), image_HW3, 3, SPACE)
    assert np.array_equal(found_HW, np.zeros((7, 9)))
