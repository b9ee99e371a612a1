"""Superpixels by a segmenter that needs no boxes, and labels that are none."""

from __future__ import annotations

import numpy as np
import pytest

from olivine.errors import UsageError
from olivine.label import stage
from olivine.label.recipe import LabelRecipe
from olivine.label.superpixels import instance_superpixels, segment_image
from olivine.models.vfm.recipe import SegmenterRecipe
from olivine.packs import Pack, bytes_array
from olivine.packs.superpixels import NO_SUPERPIXEL


class Halves:
    """The left half and a small block on the right one."""

    def segments(self, image):
        ids = np.full(image.shape[:2], -1, np.int64)
        ids[:, : ids.shape[1] // 2] = 7
        ids[:2, -3:] = 3
        return ids


def test_segments_are_numbered_and_small_ones_left_out():
    image = np.zeros((10, 20, 3), np.uint8)
    found = segment_image(image, LabelRecipe(superpixels="automatic", min_segment_px=6), Halves())
    assert set(np.unique(found)) == {0, 1, NO_SUPERPIXEL}
    assert (found[:, :10] == 1).all()
    found = segment_image(image, LabelRecipe(superpixels="automatic", min_segment_px=7), Halves())
    assert set(np.unique(found)) == {0, NO_SUPERPIXEL}


def test_instances_above_eight_bits_survive():
    instance = np.arange(400, dtype=np.uint16).reshape(20, 20)
    instance[0, 0] = NO_SUPERPIXEL
    found = instance_superpixels(instance, 1)
    assert found[found != NO_SUPERPIXEL].max() == 398
    assert found[0, 0] == NO_SUPERPIXEL
    assert (instance_superpixels(instance, 2) == NO_SUPERPIXEL).all()


def test_a_labeler_of_nothing_with_superpixels_of_its_own(fresh_drives, monkeypatch):
    monkeypatch.setattr("olivine.models.vfm.load.load_automatic", lambda recipe, device: Halves())
    labels = stage.run(fresh_drives, LabelRecipe(labeler="none", superpixels="automatic", min_segment_px=1))
    manifest = labels.manifest
    assert manifest.summary["kind"] == "none"
    assert manifest.summary["superpixels"] == {
        "kind": "automatic", "mean_segments": 2.0, "fewest_segments": 2, "most_segments": 2,
    }  # fmt: skip
    assert manifest.counts["labelled_pairs"] == 0 < manifest.counts["pairs"]
    head = Pack(labels).head(Pack(labels).index.column("keyframe")[0])
    assert (bytes_array(head["pair_label.npy"]) == 255).all()
    assert (bytes_array(head["pair_confidence.npy"]) == 0).all()


def test_what_cannot_find_segments_by_itself_is_said(fresh_drives):
    recipe = LabelRecipe(labeler="none", superpixels="automatic", segmenter=SegmenterRecipe(name="sam2"))
    with pytest.raises(UsageError, match=r"label.segmenter names no weights: --set label.segmenter.weights=PATH"):
        stage.run(fresh_drives, recipe)
    with pytest.raises(UsageError, match=r"the labeler none makes none: use label.superpixels=slic, or automatic"):
        stage.run(fresh_drives, LabelRecipe(labeler="none", superpixels="masks"))
