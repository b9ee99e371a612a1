"""Crops and flips: every pair stays on its pixel, which its colour shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from olivine.pretrain.images import Crop, decode_crop, decode_image, draw_crop
from olivine.pretrain.term_recipes import ImageAugmentationRecipe

FULL, SIZE = (90, 160), (56, 104)
RECIPE = ImageAugmentationRecipe(enabled=True, min_pairs=40)


def gradient():
    """Red grows along the rows, green along the columns: a colour is a place."""
    row, column = np.mgrid[0 : FULL[0], 0 : FULL[1]]
    return np.stack([row * 255 / (FULL[0] - 1), column * 255 / (FULL[1] - 1), 0 * row], axis=2).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_every_pair_keeps_its_colour(seed, antialias):
    rng = np.random.default_rng(seed)
    pixel_K2 = np.stack([rng.integers(1, side - 1, 300) for side in FULL], axis=1)
    crop = draw_crop(pixel_K2, FULL, SIZE, RECIPE, rng)
    moved_K2, inside_K = crop.map_pixels(pixel_K2)
    image = crop.cut_image(gradient(), antialias).numpy()
    assert image.shape == (*SIZE, 3)
    found = image[tuple(moved_K2[inside_K].T)].astype(float)
    expected = gradient()[tuple(pixel_K2[inside_K].T)].astype(float)
    # Rounding to the pixel, half a pixel of the crop and the border: under three pixels of the full image.
    assert np.abs(found[:, 0] - expected[:, 0]).max() < 3 * 255 / FULL[0]
    assert np.abs(found[:, 1] - expected[:, 1]).max() < 3 * 255 / FULL[1]
    gone_K2 = pixel_K2[~inside_K]
    inner = (gone_K2 > [crop.top + 1, crop.left + 1]).all(1) & (
        gone_K2 < [crop.top + crop.height - 2, crop.left + crop.width - 2]
    ).all(1)
    assert not inner.any(), "only what was cut away goes"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_superpixel_maps_follow_the_image(seed):
    rng = np.random.default_rng(seed)
    crop = draw_crop(np.zeros((0, 2)), FULL, SIZE, RECIPE, rng)
    ids_HW = (np.arange(FULL[0])[:, None] // 9 * 100 + np.arange(FULL[1]) // 16).astype(np.uint16)
    pixel_K2 = np.stack([rng.integers(0, side, 200) for side in FULL], axis=1)
    moved_K2, inside_K = crop.map_pixels(pixel_K2)
    cut_HW = crop.cut_map(ids_HW, FULL)
    assert cut_HW.shape == SIZE
    found, expected = cut_HW[tuple(moved_K2[inside_K].T)], ids_HW[tuple(pixel_K2[inside_K].T)]
    assert np.abs(found // 100 - expected // 100).max() <= 1
    assert (found == expected).mean() > 0.6
    small_HW = ids_HW[::3, ::2]
    assert (crop.cut_map(small_HW, FULL) == cut_HW).mean() > 0.6


def test_a_crop_keeps_pairs_or_is_the_whole_image():
    rng = np.random.default_rng(0)
    corner = np.full((100, 2), 1)
    strict = RECIPE.model_copy(update={"min_pairs": 10**6, "min_pair_share": 1.0, "max_tries": 3})
    crop = draw_crop(corner, FULL, SIZE, strict, rng)
    assert (crop.top, crop.left, crop.height, crop.width) == (0, 0, *FULL)
    for seed in range(40):
        crop = draw_crop(corner, FULL, SIZE, RECIPE, np.random.default_rng(seed))
        assert crop.map_pixels(corner)[1].sum() > 40


def test_area_aspect_and_flips_are_those_of_the_recipe():
    crops = [
        draw_crop(
            np.zeros((0, 2)),
            FULL,
            SIZE,
            RECIPE.model_copy(update={"min_pairs": -1 + 1, "min_pair_share": 0.0}),
            np.random.default_rng(seed),
        )
        for seed in range(400)
    ]
    drawn = [crop for crop in crops if (crop.height, crop.width) != FULL]
    assert 0.4 < np.mean([crop.flipped for crop in crops]) < 0.6
    for crop in drawn:
        assert 0.28 < crop.height * crop.width / (FULL[0] * FULL[1]) <= 1
        assert 14 / 9 - 0.05 < crop.width / crop.height < 17 / 9 + 0.05
        assert crop.top + crop.height <= FULL[0]
        assert crop.left + crop.width <= FULL[1]


def test_a_whole_crop_without_resizing_is_the_image():
    crop = Crop(0, 0, *FULL, FULL, flipped=False)
    assert np.array_equal(crop.cut_image(gradient(), antialias=True).numpy(), gradient())
    flipped = Crop(0, 0, *FULL, FULL, flipped=True)
    assert np.array_equal(flipped.cut_image(gradient(), antialias=True).numpy(), gradient()[:, ::-1])
    assert flipped.map_pixels(np.array([[3, 0]]))[0].tolist() == [[3, FULL[1] - 1]]


def test_grey_jpegs_become_rgb():
    buffer = io.BytesIO()
    Image.new("L", (8, 4), 77).save(buffer, "jpeg")
    assert decode_image(buffer.getvalue()).tolist() == [[[77, 77, 77]] * 8] * 4


@pytest.mark.parametrize("aspect", [(0.0, 1.0), (2.0, 1.0)])
def test_an_aspect_that_is_none_is_refused(aspect):
    with pytest.raises(ValueError, match="aspect must be two positive numbers"):
        ImageAugmentationRecipe(aspect=aspect)


@pytest.mark.parametrize(("height", "factor"), [(900, 4), (500, 2), (230, 1)])
def test_a_reduced_decode_is_the_same_picture(height, factor):
    """The largest of 8, 4, 2 that leaves the crop as large as it must become; never for `full`."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (23, 40, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((1600, 900), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    crop = Crop(0, 0, height, height * 16 // 9, (224, 398), False)
    whole = decode_crop(buffer.getvalue(), crop, ImageAugmentationRecipe())
    assert torch.equal(whole, crop.cut_image(decode_image(buffer.getvalue()), True))
    reduced = decode_crop(buffer.getvalue(), crop, ImageAugmentationRecipe(decode="reduced"))
    expected = crop.reduce(factor).cut_image(decode_image(buffer.getvalue(), factor), True)
    assert torch.equal(reduced, expected)
    assert decode_image(buffer.getvalue(), factor).shape[0] == -(-900 // factor)
    assert (reduced.float() - whole.float()).abs().mean() < 3
