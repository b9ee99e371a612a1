"""SAM 2 by transformers, tiny and with random parameters: its folder loads, and its masks are the library's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from foundation import photo, sam2, write_folder

from olivine.models.vfm.load import load_automatic, load_segmenter
from olivine.models.vfm.recipe import SegmenterRecipe
from olivine.models.weights_path import weights_digest

SIZE = (180, 320)
BOXES = np.array([[10, 20, 120, 90], [200, 5, 310, 170], [0, 0, 320, 180]], np.float32)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    pytest.importorskip("transformers")
    folder = write_folder(sam2(), tmp_path_factory.mktemp("sam2"))
    digest = weights_digest(folder)
    return SegmenterRecipe(name="sam2", weights=str(folder), sha256=digest, min_quality=0.0, min_stability=0.0)


def test_its_masks_are_those_of_the_library(recipe):
    """An image is stretched to the square, and each side of a box with it."""
    segmenter, image = load_segmenter(recipe, "cpu", 1), photo(*SIZE)
    found = segmenter.segment(segmenter.embed([image])[0], SIZE, BOXES)
    assert found.mask_KHW.shape == (3, *SIZE)
    assert 0.01 < found.mask_KHW.mean() < 0.99
    scaled_K4 = torch.from_numpy(BOXES) * torch.tensor([256 / 320, 256 / 180] * 2)
    with torch.inference_mode():
        pixels_B3SS = segmenter._prepare(image)[None]
        whole = sam2()(pixel_values=pixels_B3SS, input_boxes=scaled_K4[None], multimask_output=False)
        logits_K1HW = torch.nn.functional.interpolate(whole.pred_masks[0], SIZE, mode="bilinear")
    np.testing.assert_allclose(found.quality_K, whole.iou_scores[0, :, 0], atol=1e-5)
    assert np.mean(found.mask_KHW == (logits_K1HW[:, 0] > 0).numpy()) > 0.9999


def test_every_image_has_its_own_embedding(recipe):
    segmenter = load_segmenter(recipe, "cpu", 2)
    images = [photo(*SIZE, seed) for seed in range(2)]
    together = segmenter._embed_batch(images)
    one, other = (segmenter.segment(embedding, SIZE, BOXES) for embedding in together)
    assert not np.array_equal(one.quality_K, other.quality_K)
    alone = segmenter.segment(segmenter.embed(images)[1], SIZE, BOXES)
    np.testing.assert_allclose(other.quality_K, alone.quality_K, atol=1e-4)
    assert np.mean(other.mask_KHW == alone.mask_KHW) > 0.999


def test_it_finds_segments_without_boxes(recipe):
    ids = load_automatic(recipe.model_copy(update={"points_per_side": 3}), "cpu").segments(photo(*SIZE))
    assert ids.shape == SIZE
    assert ids.max() >= 0
    numbers = np.unique(ids[ids >= 0])
    assert ids[ids >= 0].size > 0.01 * ids.size
    assert len(numbers) <= 27
