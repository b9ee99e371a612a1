"""The labeler with full-size Grounding DINO (Swin-T) and SAM (ViT-B), random parameters, on two photographs."""

from __future__ import annotations

import numpy as np
import pytest
from foundation import grounding_dino, photo, real_images, sam, write_folder
from PIL import Image

from olivine.label.compose import compose, least_scores
from olivine.label.grounded import GroundedSamLabeler
from olivine.label.instances import decode_mask
from olivine.label.recipe import ComposeRecipe, LabelRecipe
from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.models.weights_path import weights_digest

SIZE = (900, 1600)
MOST_BOXES = 8
SHORT_SIDE_PX = 320
"""Of the detector's input: of its 800 pixels it would take minutes here, and shows no more."""


@pytest.fixture(scope="module")
def labeler(tmp_path_factory):
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("full")
    detector = write_folder(grounding_dino(tiny=False), folder / "detector", tokenizer=True)
    segmenter = write_folder(sam(tiny=False), folder / "segmenter")
    recipe = LabelRecipe(
        labeler="grounded_sam",
        detector=DetectorRecipe(
            weights=str(detector),
            sha256=weights_digest(detector),
            short_side_px=SHORT_SIDE_PX,
            keep_score=0.0,
            max_boxes=MOST_BOXES,
        ),
        segmenter=SegmenterRecipe(name="sam", weights=str(segmenter), sha256=weights_digest(segmenter)),
    )
    return GroundedSamLabeler(recipe)


@pytest.fixture(scope="module")
def images():
    """Of the real keyframe where it is there."""
    paths = real_images(2)
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths] or [photo(*SIZE, seed) for seed in range(2)]


@pytest.mark.timeout(900)
def test_it_labels_two_images(labeler, images):
    found = labeler._find(images, SIZE)
    for item in found:
        assert len(item) == MOST_BOXES
        score = float(np.quantile(item.score_K, 0.5))
        composite = compose(item, SIZE, least_scores(ComposeRecipe(score=score), labeler.classes), 0.7)
        assert (composite.category_HW != 255).any()
        best = decode_mask(item.runs[int(item.score_K.argmax())], SIZE)
        assert (composite.category_HW[best] == item.category_K[item.score_K.argmax()]).all()
    assert not np.array_equal(found[0].score_K, found[1].score_K)
