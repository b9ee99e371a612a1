"""Simulated weak labels: the true rendering of an image, made wrong in the ways real open-vocabulary labels are.

Whole segments get a class they are often mistaken for, small objects are missed, boundaries bleed by a few pixels, and
some segments stay unpainted. Everything happens in the image: no LiDAR label is read.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from olivine.label.class_list import IGNORE_ID, ClassList
from olivine.label.recipe import SimulatedRecipe
from olivine.nuscenes_categories import CATEGORY_NAMES, NUM_CATEGORIES

_MISTAKEN_FOR = {
    "barrier": ("building",),
    "traffic_cone": ("building", "barrier"),
    "bicycle": ("motorcycle", "pedestrian"),
    "motorcycle": ("bicycle", "car"),
    "pedestrian": ("building", "vegetation"),
    "bus": ("truck", "building"),
    "truck": ("bus", "car", "building"),
    "car": ("truck",),
    "road": ("sidewalk",),
    "sidewalk": ("terrain", "road"),
    "terrain": ("sidewalk", "vegetation"),
    "vegetation": ("terrain", "building"),
    "building": ("vegetation",),
}
_GRID = (5, 8)
_SKY = 255


def simulate_masks(
    category_HW: NDArray[np.int32],
    instance_HW: NDArray[np.int32],
    classes: ClassList,
    recipe: SimulatedRecipe,
    seed: tuple[int, str, str],
) -> NDArray[np.uint8]:
    """One weak-label mask uint8 [H, W] of an image.

    Args:
        category_HW: true nuScenes category of each pixel, 1..16, 255 for sky.
        instance_HW: instance of each pixel.
        classes: the weak classes to paint.
        recipe: error rates.
        seed: (seed, keyframe, camera): the same triple gives the same mask.
    """
    rng = np.random.default_rng(list(hashlib.sha256(repr(seed).encode()).digest()))
    # A segment is a (category, instance); counting in a table of all keys beats sorting the pixels tenfold.
    key_HW = np.where(category_HW == _SKY, 0, category_HW) + (NUM_CATEGORIES + 1) * instance_HW
    area = np.bincount(key_HW.ravel())
    segments = np.flatnonzero(area)
    painted = np.full(len(area), IGNORE_ID, np.uint8)
    painted[segments] = _paint_segments(segments % (NUM_CATEGORIES + 1), area[segments], classes, recipe, rng)
    return _bleed(painted[key_HW], recipe.bleed_px, rng)


def _paint_segments(
    category_S: NDArray[np.int64],
    area_S: NDArray[np.int64],
    classes: ClassList,
    recipe: SimulatedRecipe,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """The weak class of each segment, errors drawn independently."""
    label_S = classes.from_nuscenes()[category_S]
    confused_S, choice_S, lost_S = rng.random((3, len(category_S)))
    ids = {name: id for id, name in enumerate(classes.names)}
    for segment in np.flatnonzero((confused_S < recipe.confusion_rate) & (label_S != IGNORE_ID)):
        own = _own_name(int(category_S[segment]), classes.names[label_S[segment]])
        others = [ids[name] for name in _MISTAKEN_FOR.get(own, ()) if name in ids]
        if others:
            label_S[segment] = others[int(choice_S[segment] * len(others))]
    miss_S = np.where(area_S < recipe.small_px, recipe.miss_rate_small, recipe.unpainted_rate)
    label_S[lost_S < miss_S] = IGNORE_ID
    return label_S


def _own_name(category: int, weak_name: str) -> str:
    """The row of the confusion table: by nuScenes name where it has one, else by the weak class."""
    name = CATEGORY_NAMES[category - 1]
    return name if name in _MISTAKEN_FOR else weak_name


def _bleed(mask_HW: NDArray[np.uint8], bleed_px: tuple[float, float], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Move the mask along a smooth random field, so that boundaries run over their neighbours by some pixels."""
    height, width = mask_HW.shape
    amplitude = rng.uniform(*bleed_px)
    grid = rng.uniform(-1, 1, (2, *_GRID)) * amplitude
    shift_2HW = _upsample(grid, height, width)
    rows, columns = np.mgrid[0:height, 0:width]
    rows = np.clip(np.rint(rows + shift_2HW[0]), 0, height - 1).astype(np.intp)
    columns = np.clip(np.rint(columns + shift_2HW[1]), 0, width - 1).astype(np.intp)
    bled: NDArray[np.uint8] = mask_HW[rows, columns]
    return bled


def _upsample(grid_2GK: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Bilinear interpolation of two coarse fields to [2, height, width]."""
    row = np.linspace(0, grid_2GK.shape[1] - 1, height)
    column = np.linspace(0, grid_2GK.shape[2] - 1, width)
    top, left = (
        np.minimum(row.astype(int), grid_2GK.shape[1] - 2),
        np.minimum(column.astype(int), grid_2GK.shape[2] - 2),
    )
    down, right = (row - top)[None, :, None], (column - left)[None, None, :]
    upper = grid_2GK[:, top][:, :, left] * (1 - right) + grid_2GK[:, top][:, :, left + 1] * right
    lower = grid_2GK[:, top + 1][:, :, left] * (1 - right) + grid_2GK[:, top + 1][:, :, left + 1] * right
    field: NDArray[np.float64] = upper * (1 - down) + lower * down
    return field
