"""Augment a point cloud for training, with the pairs following (reference code, training transforms).

Every function is pure and takes its random generator: the same generator state gives the same result.
Shapes: N points, M pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rotate_flip(points_N4: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Rotate about z by U(0, 2 pi), then mirror x and y, each with probability one half.

    Further columns (intensity) stay as they are; returns a new array of the same dtype.
    """
    angle = rng.uniform(0.0, 2.0 * np.pi)
    flip_x, flip_y = np.where(rng.random(2) < 0.5, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    linear_22 = np.array([[flip_x * cos, -flip_x * sin], [flip_y * sin, flip_y * cos]])
    turned = points_N4.copy()
    turned[:, :2] = points_N4[:, :2] @ linear_22.T
    return turned


def drop_cuboid(
    points_N4: NDArray[Any],
    pair_point_M: NDArray[np.int32],
    pair_image_M: NDArray[Any],
    rng: np.random.Generator,
    max_fraction: float = 0.2,
    min_pairs_per_image: int = 1024,
    num_images: int = 6,
) -> NDArray[np.bool_] | None:
    """Remove the points strictly inside a random axis-aligned cuboid; return which to keep, bool [N].

    Its centre is a point drawn uniformly, its size a fraction U(0, `max_fraction`) of the cloud's extent along each
    axis. None, which means "leave the sample as it is", when one of the `num_images` images would be left with fewer
    than `min_pairs_per_image` pairs; there is no second try. Both draws are made in any case, so that the
    generator's state afterwards does not depend on the outcome.
    """
    fraction = rng.uniform(0.0, max_fraction)
    position = rng.random()
    if len(points_N4) == 0:
        return None
    xyz_N3 = points_N4[:, :3]
    half_size_3 = fraction * (xyz_N3.max(axis=0) - xyz_N3.min(axis=0)) / 2
    centre_3 = xyz_N3[int(position * len(points_N4))]
    keep_N: NDArray[np.bool_] = ~(np.abs(xyz_N3 - centre_3) < half_size_3).all(axis=1)
    left_per_image = np.bincount(pair_image_M[keep_N[pair_point_M]], minlength=num_images)
    return keep_N if left_per_image.min() >= min_pairs_per_image else None


def remap_pairs(
    pair_point_M: NDArray[np.int32], keep_N: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Pairs after the points `keep_N` stayed: which pairs stay, bool [M], and their new point indices, int32 [M']."""
    pair_keep_M = keep_N[pair_point_M]
    new_index_N = np.cumsum(keep_N, dtype=np.int32) - np.int32(1)
    return pair_keep_M, new_index_N[pair_point_M[pair_keep_M]]
