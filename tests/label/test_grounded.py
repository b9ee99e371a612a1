"""The labeler `grounded_sam` through the stage, with the real classes at a tiny size and random parameters."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from chain import copy_drives
from foundation import grounding_dino, sam, write_folder
from PIL import Image

from olivine.drives import CAMERAS, Drives
from olivine.errors import ConfigError, IntegrityError, UsageError
from olivine.label import grounded, stage
from olivine.label.instances import decode_mask, read_instances
from olivine.label.recipe import ComposeRecipe, ExecutionRecipe, LabelRecipe
from olivine.models.vfm.load import load_detector
from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.models.weights_path import weights_digest
from olivine.packs import Pack, bytes_array
from olivine.packs.superpixels import read_superpixels

QUANTILE = 0.5


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of the detector and the segmenter."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models")
    write_folder(grounding_dino(), folder / "detector", tokenizer=True)
    write_folder(sam(), folder / "segmenter")
    return folder


@pytest.fixture(scope="module")
def recipe(models, ingested):
    """Keeps half of the boxes of an image, and paints half of those: random scores have no scale of their own."""
    detector = DetectorRecipe(
        weights=str(models / "detector"),
        sha256=weights_digest(models / "detector"),
        short_side_px=64,
        long_side_px=128,
        keep_score=0.0,
        max_boxes=12,
    )
    segmenter = SegmenterRecipe(
        name="sam", weights=str(models / "segmenter"), sha256=weights_digest(models / "segmenter")
    )
    prompts = ["car", "road", "building"]
    reader = Drives(ingested)
    with Image.open(io.BytesIO(reader.images(reader.tokens()[0])[0])) as image:
        found = load_detector(detector, prompts, "cpu", 1).detect([np.asarray(image)])[0]
    score = float(np.quantile(found.score_K, QUANTILE))
    assert 0 < score < 1
    return LabelRecipe(
        labeler="grounded_sam",
        detector=detector,
        segmenter=segmenter,
        compose=ComposeRecipe(score=score),
        keyframes_per_shard=4,
        superpixels="masks",
        min_segment_px=4,
    )


@pytest.fixture(scope="module")
def whole(ingested, recipe, tmp_path_factory):
    """All labelled without a break, one keyframe after the other."""
    one = recipe.model_copy(update={"execution": ExecutionRecipe(workers=1)})
    return stage.run(copy_drives(ingested, tmp_path_factory.mktemp("whole") / "store"), one)


@pytest.fixture
def drives(fresh_drives):
    return fresh_drives


def instances_of(labels):
    paths = sorted(blob.path for blob in labels.manifest.data if blob.path.startswith("instances/"))
    found = {}
    for path in paths:
        found |= read_instances(labels.read(path), path)
    return found


def png(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_boxes_exist_and_are_painted(whole, ingested):
    found, tokens = instances_of(whole), Drives(ingested).tokens()
    assert found.keys() == {(token, camera) for token in tokens for camera in CAMERAS}
    assert {len(item) for item in found.values()} == {12}
    summary = whole.manifest.summary
    assert sum(summary["pixels_by_class"]) + summary["unpainted_pixels"] == len(tokens) * 6 * 192 * 108
    assert sum(summary["pixels_by_class"]) > 0
    assert sum(1 for pixels in summary["pixels_by_class"] if pixels) >= 2
    assert 0 < whole.manifest.counts["labelled_pairs"] <= whole.manifest.counts["pairs"]
    assert summary["kind"] == "grounded_sam"
    assert summary["accuracy"] is None
    assert summary["superpixels"]["kind"] == "masks"


def test_a_mask_its_confidence_and_its_pairs_agree(whole, ingested, recipe):
    found, labels, reader = instances_of(whole), Pack(whole), Drives(ingested)
    token = reader.tokens()[2]
    members, keyframe = labels.whole(token), reader.keyframe(token)
    image_M, row_M, column_M = keyframe.pair_pixel_M3.T
    label_M, confidence_M = (bytes_array(members[f"pair_{name}.npy"]) for name in ("label", "confidence"))
    superpixels = read_superpixels(labels.head(token))
    for number, camera in enumerate(CAMERAS):
        mask_HW, confidence_HW = png(members[f"{camera}.png"]), png(members[f"{camera}.confidence.png"])
        item, here = found[token, camera], image_M == number
        assert np.array_equal(mask_HW == 255, confidence_HW == 0)
        assert np.array_equal(label_M[here], mask_HW[row_M[here], column_M[here]])
        assert np.array_equal(confidence_M[here], confidence_HW[row_M[here], column_M[here]])
        best = int(item.score_K.argmax())
        top_HW = decode_mask(item.runs[best], mask_HW.shape)
        assert (mask_HW[top_HW] == item.category_K[best]).all()
        assert (confidence_HW[top_HW] == round(255 * float(item.score_K[best]))).all()
        assert confidence_HW[confidence_HW > 0].min() >= int(255 * recipe.compose.score)
        unpainted = label_M == 255
        assert (superpixels.pair_superpixel_M[here & unpainted] == 65_535).all()
    assert (superpixels.pair_superpixel_M != 65_535).any()


def test_workers_change_no_byte(drives, recipe, whole):
    labels = stage.run(drives, recipe.model_copy(update={"execution": ExecutionRecipe(workers=3)}))
    assert (labels.id, labels.manifest.data_digest) == (whole.id, whole.manifest.data_digest)


def test_batches_change_the_id_and_on_a_processor_no_byte(drives, recipe, whole):
    of_several = recipe.model_copy(update={"batch_images": 5})
    labels = stage.run(drives, of_several)
    assert labels.id != whole.id
    if not torch.cuda.is_available():
        assert labels.manifest.data_digest == whole.manifest.data_digest


@pytest.mark.parametrize("workers", [1, 2])
def test_a_kill_at_any_image_repeats_no_more_than_what_is_under_way(drives, recipe, whole, monkeypatch, workers):
    labelled, find = [], grounded.GroundedSamLabeler._find

    def killed(self, images, size):
        labelled.append(1)
        if len(labelled) == 7:
            raise KeyboardInterrupt
        return find(self, images, size)

    monkeypatch.setattr(grounded.GroundedSamLabeler, "_find", killed)
    again = recipe.model_copy(update={"execution": ExecutionRecipe(workers=workers)})
    with pytest.raises(KeyboardInterrupt):
        stage.run(drives, again)
    before = len(labelled) - 1
    labelled[:] = [1] * 100
    resumed = stage.run(drives, again)
    assert 11 - before <= len(labelled) - 100 <= 11 - before + workers - 1
    assert resumed.manifest.data == whole.manifest.data


def test_another_threshold_is_another_artifact(drives, recipe, whole):
    higher = recipe.model_copy(update={"compose": ComposeRecipe(score=(recipe.compose.score + 1) / 2)})
    labels = stage.run(drives, higher)
    assert labels.id != whole.id
    assert labels.manifest.counts["labelled_pairs"] < whole.manifest.counts["labelled_pairs"]


def test_wrong_digests_stop_before_the_first_image(drives, recipe, monkeypatch):
    monkeypatch.setattr(Drives, "images", lambda *arguments: pytest.fail("an image was read"))
    for part in ("detector", "segmenter"):
        wrong = getattr(recipe, part).model_copy(update={"sha256": "0" * 64})
        with pytest.raises(IntegrityError, match=rf"label.{part}.sha256 is 0+: refused before the first image"):
            stage.run(drives, recipe.model_copy(update={part: wrong}))
    assert not list(drives.store.list("label"))


def test_what_the_recipe_lacks_is_said_before_the_first_image(drives, recipe, monkeypatch):
    monkeypatch.setattr(Drives, "images", lambda *arguments: pytest.fail("an image was read"))
    with pytest.raises(UsageError, match=r"label.detector names no weights: --set label.detector.weights=PATH"):
        stage.run(drives, recipe.model_copy(update={"detector": DetectorRecipe()}))
    with pytest.raises(UsageError, match=r"does not know the prompt 'jersey barrier'"):
        stage.run(drives, recipe.model_copy(update={"classes": "nuscenes16"}))
    compose = ComposeRecipe(score_by_class={"tram": 0.5})
    with pytest.raises(UsageError, match="names 'tram'"):
        stage.run(drives, recipe.model_copy(update={"compose": compose}))


def test_weights_of_another_model_are_named(drives, recipe, models):
    other = recipe.detector.model_copy(update={"weights": str(models / "segmenter")})
    other = other.model_copy(update={"sha256": weights_digest(models / "segmenter")})
    with pytest.raises(ConfigError, match=r"segmenter holds no tokenizer: vocab\.txt"):
        stage.run(drives, recipe.model_copy(update={"detector": other}))


def test_images_without_a_detection_are_unpainted_and_not_embedded(drives, recipe, monkeypatch):
    monkeypatch.setattr("olivine.models.vfm.sam.Sam._embed_batch", lambda *a: pytest.fail("an image was embedded"))
    nothing = recipe.detector.model_copy(update={"keep_score": 1.0})
    labels = stage.run(drives, recipe.model_copy(update={"detector": nothing, "superpixels": "none"}))
    assert labels.manifest.counts["labelled_pairs"] == 0
    assert sum(labels.manifest.summary["pixels_by_class"]) == 0
    assert instances_of(labels) == {}


def test_a_full_device_gets_half_the_batch(recipe, monkeypatch):
    """The error is raised by hand: there is no device here that could be full."""
    detector = load_detector(recipe.detector, ["car"], "cpu", 4)
    detector._device = torch.device("meta")
    sizes = []

    def detect(images):
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("full")
        return [None] * len(images)

    monkeypatch.setattr(detector, "_detect_batch", detect)
    assert len(detector.detect([np.zeros((4, 4, 3), np.uint8)] * 7)) == 7
    assert sizes == [4, 2, 2, 2, 1]
    monkeypatch.setattr(detector, "_detect_batch", lambda images: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(ConfigError, match="meta cannot hold one image"):
        detector.detect([np.zeros((4, 4, 3), np.uint8)])
