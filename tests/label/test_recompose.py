"""Other thresholds without the models. The labels are made by hand-written instances: no model is needed here."""

from __future__ import annotations

import numpy as np
import pytest

from olivine.drives import Drives
from olivine.errors import UsageError
from olivine.label import labelers, stage
from olivine.label.class_list import load_class_list
from olivine.label.compose import compose, least_scores
from olivine.label.instances import Instances, encode_mask
from olivine.label.labelers import Found, Labels, pair_labels
from olivine.label.recipe import ComposeRecipe, LabelRecipe
from olivine.label.recompose import recompose
from olivine.packs import Pack


class Blocks:
    """Instances of random blocks, the same for a keyframe whenever it is asked."""

    kind, is_slow = "grounded_sam", False

    def __init__(self, recipe):
        self.classes = load_class_list(recipe.classes)
        self._recipe, self._least = recipe.compose, least_scores(recipe.compose, self.classes)

    def label(self, drives, keyframe):
        width, height = drives.image_size
        generator = np.random.default_rng(list(keyframe.token.encode()))
        found = [self._draw(generator, height, width) for _ in range(6)]
        composites = [compose(item, (height, width), self._least, self._recipe.nms_iou) for item in found]
        masks = [item.category_HW for item in composites]
        return Labels(
            pair_labels(masks, keyframe), masks, [Found(*pair) for pair in zip(found, composites, strict=True)]
        )

    def _draw(self, generator, height, width):
        count = int(generator.integers(0, 6))
        left, top = generator.integers(0, width // 2, count), generator.integers(0, height // 2, count)
        right, bottom = left + generator.integers(8, width // 2, count), top + generator.integers(8, height // 2, count)
        boxes = np.stack([left, top, right, bottom], axis=1).astype(np.float32).reshape(-1, 4)
        runs = []
        for x0, y0, x1, y1 in boxes.astype(int).tolist():
            mask = np.zeros((height, width), bool)
            mask[y0:y1, x0:x1] = True
            runs.append(encode_mask(mask))
        score = generator.uniform(0.2, 0.9, count).astype(np.float32)
        category = generator.integers(0, len(self.classes.names), count).astype(np.uint8)
        return Instances(boxes, score, category, score, ["?"] * count, runs)


@pytest.fixture
def drives(fresh_drives):
    return fresh_drives


def labelled(drives, recipe, monkeypatch):
    monkeypatch.setitem(labelers.LABELERS, "none", Blocks)
    return stage.run(drives, recipe)


RECIPE = LabelRecipe(labeler="none", keyframes_per_shard=4)


@pytest.mark.parametrize(
    "other",
    [ComposeRecipe(), ComposeRecipe(score=0.5), ComposeRecipe(score_by_class={"car": 0.8}), ComposeRecipe(nms_iou=0.1)],
)
def test_it_is_what_labelling_anew_would_have_given(drives, monkeypatch, other):
    first = labelled(drives, RECIPE, monkeypatch)
    anew = labelled(drives, RECIPE.model_copy(update={"compose": other}), monkeypatch)
    monkeypatch.setattr(Drives, "images", lambda *arguments: pytest.fail("an image was read"))
    again = recompose(drives, first, other)
    assert again.manifest.data == anew.manifest.data
    assert (again.manifest.data_digest == first.manifest.data_digest) is (other == ComposeRecipe())
    assert again.manifest.summary == anew.manifest.summary
    assert again.id not in (first.id, anew.id)
    assert again.manifest.inputs.keys() == {"drives", "weak_labels"}
    assert recompose(drives, first, other).manifest == again.manifest
    assert Pack(again).index.column("keyframe") == Pack(first).index.column("keyframe")


def test_a_threshold_below_what_was_kept_is_refused(drives, monkeypatch):
    first = labelled(drives, RECIPE, monkeypatch)
    with pytest.raises(UsageError, match=r"a score of 0.1 is lower than label.detector.keep_score=0.2"):
        recompose(drives, first, ComposeRecipe(score_by_class={"car": 0.1}))


def test_labels_without_instances_cannot_be_composed(chain):
    with pytest.raises(UsageError, match=r"\(simulated\) hold no instances"):
        recompose(chain.made["ingest"], chain.made["label"], ComposeRecipe())
