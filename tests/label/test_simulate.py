"""Simulated weak labels: reproducible, wrong in the stated ways, at the stated rates."""

from __future__ import annotations

import numpy as np
import pytest

from olivine.label.class_list import IGNORE_ID, load_class_list
from olivine.label.recipe import SimulatedRecipe
from olivine.label.simulate import simulate_masks
from olivine.nuscenes_categories import CATEGORY_NAMES

CLASSES = load_class_list("grounded_sam")
EXACT = SimulatedRecipe(confusion_rate=0, unpainted_rate=0, miss_rate_small=0, bleed_px=(0.0, 0.0))
IDS = {name: number for number, name in enumerate(CLASSES.names)}


def category(name):
    return CATEGORY_NAMES.index(name) + 1


def tiles(names, rows=40, columns=60, side=10):
    """An image of square segments, each an instance of its own."""
    numbers = np.arange(rows * columns).reshape(rows, columns)
    chosen = np.array([category(name) for name in names])[numbers % len(names)]
    return [np.kron(image, np.ones((side, side), int)).astype(np.int32) for image in (chosen, numbers)]


def simulate(images, recipe, seed=(0, "keyframe", "CAM_FRONT")):
    return simulate_masks(*images, CLASSES, recipe, seed)


def test_without_errors_it_is_the_truth_and_sky_is_unpainted():
    category_HW, instance_HW = tiles(["car", "sidewalk", "manmade"])
    category_HW[:20] = 255
    mask_HW = simulate((category_HW, instance_HW), EXACT)
    assert (mask_HW.dtype, mask_HW.shape) == (np.uint8, category_HW.shape)
    assert (mask_HW[:20] == IGNORE_ID).all()
    assert np.array_equal(mask_HW[20:], CLASSES.from_nuscenes()[category_HW[20:]])


def test_the_same_seed_gives_the_same_mask_and_each_part_of_it_matters():
    images = tiles(["car", "sidewalk", "manmade"])
    first = simulate(images, SimulatedRecipe())
    assert np.array_equal(simulate(images, SimulatedRecipe()), first)
    for seed in ((1, "keyframe", "CAM_FRONT"), (0, "other", "CAM_FRONT"), (0, "keyframe", "CAM_BACK")):
        assert not np.array_equal(simulate(images, SimulatedRecipe(), seed), first)


@pytest.mark.parametrize(
    ("name", "taken_for"),
    [
        ("car", ["truck"]),
        ("bus", ["building", "truck"]),
        ("sidewalk", ["road", "terrain"]),
        ("traffic_cone", ["barrier", "building"]),
        # The weak class "truck" covers trailers too: a trailer is mistaken for what a truck is mistaken for.
        ("trailer", ["building", "bus", "car"]),
    ],
)
def test_whole_segments_are_confused_at_the_stated_rate(name, taken_for):
    images = tiles([name])
    mask_HW = simulate(images, EXACT.model_copy(update={"confusion_rate": 0.3}))
    tile_RC = mask_HW[::10, ::10]
    assert np.array_equal(np.kron(tile_RC, np.ones((10, 10), np.uint8)), mask_HW)
    own = CLASSES.from_nuscenes()[category(name)]
    wrong = tile_RC != own
    # 2400 draws at 0.3: four standard deviations are 0.037.
    assert abs(wrong.mean() - 0.3) < 0.04
    assert sorted({CLASSES.names[label] for label in tile_RC[wrong]}) == taken_for


def test_small_segments_are_missed_and_large_ones_left_unpainted():
    small, large = tiles(["car"], side=8), tiles(["car"], side=10)
    recipe = EXACT.model_copy(update={"miss_rate_small": 0.5, "unpainted_rate": 0.06, "small_px": 80})
    assert abs((simulate(small, recipe) == IGNORE_ID).mean() - 0.5) < 0.045
    assert abs((simulate(large, recipe) == IGNORE_ID).mean() - 0.06) < 0.02


def test_boundaries_move_by_no_more_than_stated():
    category_HW = np.full((120, 200), category("sidewalk"), np.int32)
    category_HW[:, 100:] = category("manmade")
    instance_HW = (category_HW == category("manmade")).astype(np.int32)
    mask_HW = simulate((category_HW, instance_HW), EXACT.model_copy(update={"bleed_px": (6.0, 6.0)}))
    assert (mask_HW[:, :93] == IDS["sidewalk"]).all()
    assert (mask_HW[:, 107:] == IDS["building"]).all()
    edge_H = (mask_HW == IDS["sidewalk"]).sum(axis=1) - 100
    assert 1 < np.abs(edge_H).max() <= 7
    assert np.ptp(edge_H) > 1
