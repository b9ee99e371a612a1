"""Superpixels: whole, numbered without a gap, the library's answer where nothing is shortened, and in the artifact."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.segmentation import slic

from olivine.errors import ConfigError, DataError, UsageError
from olivine.label.recipe import LabelRecipe, SlicRecipe
from olivine.label.superpixels import block_side, check_superpixels, mask_superpixels, slic_superpixels
from olivine.packs import Pack
from olivine.packs.superpixels import NO_SUPERPIXEL, Superpixels, read_superpixels, superpixel_members


def picture(height=90, width=160, seed=0):
    """Four plain quarters with a little noise."""
    rng = np.random.default_rng(seed)
    colours = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 210], [230, 220, 60]])
    quarter = (np.arange(height) >= height // 2)[:, None] * 2 + (np.arange(width) >= width // 2)
    return np.clip(colours[quarter] + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def test_with_blocks_of_one_pixel_it_is_the_librarys_answer():
    recipe = SlicRecipe(num_segments=40, compactness=7.0, sigma_px=1.0, blocks_per_side=1000)
    expected = slic(picture(), n_segments=40, compactness=7.0, sigma=1.0, start_label=0)
    assert np.array_equal(slic_superpixels(picture(), recipe), expected)


@pytest.mark.parametrize("blocks_per_side", [4, 8, 1000])
def test_every_pixel_has_an_id_and_ids_have_no_gap(blocks_per_side):
    ids_HW = slic_superpixels(picture(), SlicRecipe(num_segments=30, blocks_per_side=blocks_per_side))
    assert (ids_HW.dtype, ids_HW.shape) == (np.uint16, (90, 160))
    assert np.array_equal(np.unique(ids_HW), np.arange(ids_HW.max() + 1))
    assert np.array_equal(
        ids_HW, slic_superpixels(picture(), SlicRecipe(num_segments=30, blocks_per_side=blocks_per_side))
    )


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    num_segments=st.integers(2, 60),
    blocks_per_side=st.integers(1, 6),
)
def test_any_image_is_covered(seed, size, num_segments, blocks_per_side):
    """Also images that are no whole number of blocks, or have fewer pixels than superpixels were asked for."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    ids_HW = slic_superpixels(image, SlicRecipe(num_segments=num_segments, blocks_per_side=blocks_per_side))
    assert ids_HW.shape == size
    assert np.array_equal(np.unique(ids_HW), np.arange(ids_HW.max() + 1))


def test_the_settings_reach_the_library(monkeypatch):
    """On blocks of 4 x 4, which smooth as a Gaussian of variance 15/12 does."""
    given = {}

    def library(blocks, **settings):
        given.update(settings, shape=blocks.shape)
        return np.arange(blocks.shape[0] * blocks.shape[1]).reshape(blocks.shape[:2]) // 1000

    monkeypatch.setattr("skimage.segmentation.slic", library)
    slic_superpixels(np.zeros((900, 1600, 3), np.uint8), SlicRecipe())
    assert given.pop("sigma") == pytest.approx((9 - 15 / 12) ** 0.5 / 4)
    assert given.pop("shape") == (225, 400, 3)
    assert given == {"n_segments": 150, "compactness": 6.0, "start_label": 0, "channel_axis": -1}


def test_blocks_keep_the_edges_of_the_picture():
    """Shortened or not, hardly a superpixel crosses from one colour to another."""
    image = picture(180, 320)
    quarter = (np.arange(180) >= 90)[:, None] * 2 + (np.arange(320) >= 160)
    recipe = SlicRecipe(num_segments=60, sigma_px=1.5)
    for blocks in (6, 1000):
        ids_HW = slic_superpixels(image, recipe.model_copy(update={"blocks_per_side": blocks}))
        table = np.zeros((ids_HW.max() + 1, 4), int)
        np.add.at(table, (ids_HW.ravel(), quarter.ravel()), 1)
        assert table.max(axis=1).sum() / table.sum() > 0.98


def test_blocks_are_no_wider_than_the_smoothing():
    assert block_side(98.0, SlicRecipe()) == 4
    assert block_side(98.0, SlicRecipe(sigma_px=0.0)) == 1
    assert block_side(98.0, SlicRecipe(blocks_per_side=1000)) == 1
    assert block_side(1000.0, SlicRecipe()) == 10


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6))
def test_parts_of_a_mask_are_its_connected_regions(seed, min_segment_px):
    mask_HW = np.random.default_rng(seed).choice(np.array([0, 1, 255], np.uint8), (9, 11))
    expected = flood(mask_HW, min_segment_px)
    found = mask_superpixels(mask_HW, min_segment_px)
    assert np.array_equal(found == NO_SUPERPIXEL, expected < 0)
    pairs = {(int(a), int(b)) for a, b in zip(found.ravel(), expected.ravel(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) or expected.max() < 0
    kept = np.unique(found[found != NO_SUPERPIXEL])
    assert np.array_equal(kept, np.arange(len(kept)))


def flood(mask_HW, min_px):
    """Region of each pixel by flooding, -1 for unpainted and small ones."""
    regions, number = np.full(mask_HW.shape, -2), 0
    for start in np.ndindex(mask_HW.shape):
        if regions[start] != -2:
            continue
        todo, members = [start], []
        regions[start] = number
        while todo:
            r, c = todo.pop()
            members.append((r, c))
            for place in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                inside = 0 <= place[0] < mask_HW.shape[0] and 0 <= place[1] < mask_HW.shape[1]
                if inside and regions[place] == -2 and mask_HW[place] == mask_HW[start]:
                    regions[place] = number
                    todo.append(place)
        if mask_HW[start] == 255 or len(members) < min_px:
            regions[tuple(zip(*members, strict=True))] = -1
        number += 1
    return regions


def test_more_parts_than_ids_are_refused():
    mask_HW = np.indices((300, 300)).sum(axis=0).astype(np.uint8) % 2
    with pytest.raises(
        DataError, match=r"90000 superpixels in one image.*or for larger ones \(label\.min_segment_px\)"
    ):
        mask_superpixels(mask_HW, 1)
    assert (mask_superpixels(mask_HW, 2) == NO_SUPERPIXEL).all()


def test_ids_above_eight_bits_survive():
    """Masks of more than 255 parts overflow where ids are cast to 8 bit."""
    mask_HW = np.indices((40, 40)).sum(axis=0).astype(np.uint8) % 2
    found = mask_superpixels(mask_HW, 1)
    assert found.max() == 1599
    maps = np.stack([found] * 6)
    stored = read_superpixels(superpixel_members(Superpixels(np.array([1599, NO_SUPERPIXEL], np.uint16), maps)))
    assert np.array_equal(stored.maps_IHW, maps)
    assert stored.pair_superpixel_M.tolist() == [1599, NO_SUPERPIXEL]


@pytest.fixture
def segmented(own_chain):
    def make(kind, *settings):
        return own_chain.run("label", f"label.superpixels={kind}", "label.superpixel_map_size=[108,192]", *settings)

    return make


@pytest.mark.parametrize("kind", ["slic", "masks"])
def test_pairs_have_the_id_under_their_pixel(own_chain, segmented, kind):
    made = segmented(kind, "label.slic.num_segments=20", "label.min_segment_px=4")
    for token in own_chain.drives.tokens()[:2]:
        head = Pack(made).head(token)
        superpixels = read_superpixels(head)
        image, row, column = own_chain.drives.keyframe(token).pair_pixel_M3.T
        assert np.array_equal(superpixels.pair_superpixel_M, superpixels.maps_IHW[image, row, column])
        if kind == "slic":
            jpeg = own_chain.drives.images(token)[2]
            with Image.open(io.BytesIO(jpeg)) as opened:
                rgb = np.asarray(opened.convert("RGB"))
            assert np.array_equal(superpixels.maps_IHW[2], slic_superpixels(rgb, SlicRecipe(num_segments=20)))
    maps = [read_superpixels(Pack(made).head(token)).maps_IHW for token in own_chain.drives.tokens()]
    # Stored at full size, so that no superpixel is missing in a map.
    counts = [len(set(np.unique(map_HW)) - {NO_SUPERPIXEL}) for map_HW in np.concatenate(maps)]
    assert made.manifest.summary["superpixels"] == {
        "kind": kind,
        "mean_segments": np.mean(counts),
        "fewest_segments": min(counts),
        "most_segments": max(counts),
    }


def test_the_labels_are_those_without_superpixels(own_chain, segmented):
    plain, made = Pack(own_chain.made["label"]), Pack(segmented("slic"))
    token = own_chain.drives.tokens()[0]
    assert made.head(token)["pair_label.npy"] == plain.head(token)["pair_label.npy"]
    assert plain.head(token).keys() == {"pair_label.npy", "pair_confidence.npy"}
    assert "superpixels" not in own_chain.made["label"].manifest.summary
    assert not any(name.startswith("CAM") for name in made.head(token)), "a head holds no full-size mask"


def test_masks_that_no_labeler_makes_are_refused(own_chain):
    with pytest.raises(UsageError, match=r"the labeler truth makes none: use label\.superpixels=slic"):
        own_chain.run("label", "label.superpixels=masks", "label.labeler=truth", "label.classes=nuscenes16")


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'olivine\[superpixels\]'"):
        check_superpixels(LabelRecipe(superpixels="slic"))
    check_superpixels(LabelRecipe())


def test_shuffled_labels_are_those_of_another_keyframe(own_chain):
    made = own_chain.run("label", "label.shuffled=true")
    tokens = own_chain.drives.tokens()
    own, other = Pack(own_chain.made["label"]), Pack(made)
    half = len(tokens) // 2
    for place in (0, len(tokens) - 1):
        masks_then = other.whole(tokens[place])["CAM_BACK.png"]
        assert masks_then == own.whole(tokens[(place + half) % len(tokens)])["CAM_BACK.png"]
        assert masks_then != own.whole(tokens[place])["CAM_BACK.png"]
    assert made.manifest.summary["accuracy"] < own_chain.made["label"].manifest.summary["accuracy"]
    with pytest.raises(UsageError, match=r"label\.shuffled needs masks, and the labeler truth makes none"):
        own_chain.run("label", "label.shuffled=true", "label.labeler=truth", "label.classes=nuscenes16")
