"""The stage `label`: what it publishes, what it may read, and how it goes on."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from chain import damage
from PIL import Image

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import DataError, IntegrityError
from olivine.label import labelers, stage, superpixels
from olivine.label.class_list import load_class_list
from olivine.label.recipe import LabelRecipe, SlicRecipe
from olivine.packs import Pack, bytes_array
from olivine.store import open_store

RECIPE = LabelRecipe(labeler="simulated", keyframes_per_shard=4)


@pytest.fixture
def drives(chain, tmp_path):
    """The drives in a store of their own, without labels."""
    return copy_of(chain.made["ingest"], tmp_path / "store")


def copy_of(artifact, folder):
    shutil.copytree(artifact.store.url.removeprefix("file://"), folder, ignore=shutil.ignore_patterns("label", "parts"))
    return Artifact(open_store(str(folder)), artifact.manifest)


def test_accuracy_is_that_of_an_independent_count(chain):
    """Over train and select: hand labels of `test` are for the evaluation alone."""
    drives, labels = chain.drives, Pack(chain.made["label"])
    lookup = load_class_list("grounded_sam").from_nuscenes()
    right = labelled = known = 0
    for token in drives.tokens("all_train"):
        given_M = bytes_array(labels.head(token)["pair_label.npy"])
        true_M = lookup[drives.lidarseg(token)[drives.keyframe(token).pair_point_M]]
        known += int((true_M != 255).sum())
        labelled += int(((true_M != 255) & (given_M != 255)).sum())
        right += int(((true_M != 255) & (given_M == true_M)).sum())
    summary = chain.made["label"].manifest.summary
    assert summary["accuracy"] == right / labelled < 0.85
    assert summary["coverage"] == labelled / known
    assert summary["kind"] == "simulated"


def test_counts(chain):
    labels, manifest = Pack(chain.made["label"]), chain.made["label"].manifest
    given = [bytes_array(labels.head(token)["pair_label.npy"]) for token in labels.index.column("keyframe")]
    everything_M = np.concatenate(given)
    assert labels.index.column("keyframe") == chain.drives.tokens()
    assert labels.index.column("num_pairs") == [len(label_M) for label_M in given]
    assert manifest.counts == {
        "keyframes": 11,
        "pairs": len(everything_M),
        "labelled_pairs": int((everything_M != 255).sum()),
    }
    assert manifest.summary["pairs_by_class"] == np.bincount(everything_M, minlength=256)[:13].tolist()
    assert json.loads(chain.made["label"].read("classes.json"))["name"] == "grounded_sam"
    for token, label_M in zip(labels.index.column("keyframe"), given, strict=True):
        confidence_M = bytes_array(labels.head(token)["pair_confidence.npy"])
        assert np.array_equal(confidence_M, np.where(label_M == 255, 0, 255))


def test_no_hand_label_of_test_is_read(chain):
    drives = chain.drives
    assert chain.read_keyframes("label", "lidarseg") == set(drives.tokens("all_train"))
    assert chain.read_keyframes("label", "simulation") == set(drives.tokens())


def test_truth_labels_all_but_test(drives):
    labels = stage.run(drives, LabelRecipe(labeler="truth", classes="nuscenes16"))
    reader = Drives(drives)
    assert Pack(labels).index.column("keyframe") == reader.tokens("all_train")
    assert labels.manifest.summary["accuracy"] == 1.0
    assert labels.manifest.summary["kind"] == "truth"
    reads = drives.store.traffic.reads
    blob = {f"lidarseg/{row:05d}.tar": token for row, token in enumerate(reader.tokens())}
    read = {blob[b.path] for b in drives.manifest.data if b.path in blob and reads[b.key]}
    assert read == set(reader.tokens("all_train"))


def test_again_without_work_and_the_same_in_another_store(drives, chain, tmp_path, monkeypatch):
    first = stage.run(drives, RECIPE)
    assert first.manifest.data_digest == chain.made["label"].manifest.data_digest
    other = stage.run(copy_of(chain.made["ingest"], tmp_path / "other"), RECIPE)
    assert (other.id, other.manifest.data_digest) == (first.id, first.manifest.data_digest)
    monkeypatch.setattr(labelers.SimulatedLabeler, "label", lambda *arguments: pytest.fail("work was done again"))
    assert stage.run(drives, RECIPE).manifest == first.manifest


@pytest.mark.parametrize("change", [{"seed": 1}, {"classes": "seem"}, {"keyframes_per_shard": 5}])
def test_another_recipe_gives_another_artifact(drives, change):
    first = stage.run(drives, RECIPE)
    second = stage.run(drives, RECIPE.model_copy(update=change))
    assert second.id != first.id
    assert second.manifest.data_digest != first.manifest.data_digest


def test_a_killed_run_goes_on_after_its_last_shard(drives, chain, monkeypatch):
    labelled = []
    label = labelers.SimulatedLabeler.label

    def killed_at_the_sixth(self, reader, keyframe):
        labelled.append(keyframe.token)
        if len(labelled) == 6:
            raise KeyboardInterrupt
        return label(self, reader, keyframe)

    monkeypatch.setattr(labelers.SimulatedLabeler, "label", killed_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        stage.run(drives, RECIPE)
    labelled[:] = ["later"] * 6
    resumed = stage.run(drives, RECIPE)
    assert resumed.manifest.data_digest == chain.made["label"].manifest.data_digest
    assert sorted(labelled[6:]) == sorted(chain.drives.tokens()[4:])


def test_a_killed_run_goes_on_with_its_superpixels(drives, monkeypatch):
    recipe = RECIPE.model_copy(update={"superpixels": "slic", "slic": SlicRecipe(num_segments=12)})
    whole = stage.run(copy_of(drives, drives.store.url.removeprefix("file://") + "-whole"), recipe)
    segmented = []
    segment = superpixels.slic_superpixels

    def killed_in_the_second_shard(image_HW3, slic_recipe):
        segmented.append(1)
        if len(segmented) == 6 * 5 + 2:
            raise KeyboardInterrupt
        return segment(image_HW3, slic_recipe)

    monkeypatch.setattr(superpixels, "slic_superpixels", killed_in_the_second_shard)
    with pytest.raises(KeyboardInterrupt):
        stage.run(drives, recipe)
    segmented[:] = [1] * 1000
    resumed = stage.run(drives, recipe)
    assert len(segmented) == 1000 + 6 * (11 - 4)
    assert resumed.manifest.data_digest == whole.manifest.data_digest
    assert resumed.manifest.summary == whole.manifest.summary


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda jpeg: jpeg[: len(jpeg) // 2], "CAM_BACK_RIGHT: the image cannot be decoded"),
        (lambda jpeg: b"", "CAM_BACK_RIGHT: the image cannot be decoded"),
        (lambda jpeg: small_jpeg(), r"CAM_BACK_RIGHT: the image is \(8, 8\), those of these drives are \(192, 108\)"),
    ],
)
def test_an_image_that_cannot_be_decoded_is_a_bad_frame(drives, monkeypatch, spoil, reason):
    bad, images = Drives(drives).tokens()[3], Drives.images

    def spoilt(self, token):
        jpegs = images(self, token)
        return [spoil(jpeg) if (token, place) == (bad, 2) else jpeg for place, jpeg in enumerate(jpegs)]

    monkeypatch.setattr(Drives, "images", spoilt)
    recipe = RECIPE.model_copy(update={"superpixels": "slic", "slic": SlicRecipe(num_segments=12)})
    with pytest.raises(DataError, match=rf"label: 1 of 11 keyframes are bad.*\n  {bad}: {reason}"):
        stage.run(drives, recipe)
    monkeypatch.setattr("olivine.quarantine.MAX_BAD_SHARE", 0.1)
    labels = stage.run(drives, recipe)
    assert [item.frame for item in labels.manifest.quarantined] == [bad]
    assert labels.manifest.counts["keyframes"] == 10


def small_jpeg():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "jpeg")
    return buffer.getvalue()


def masks_for(chain, folder, without=()):
    labels, drives = Pack(chain.made["label"]), chain.drives
    for token in drives.tokens():
        members = labels.whole(token)
        for camera in drives.meta(token)["cameras"]:
            path = (folder / camera["file"].removeprefix("samples/")).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            if token not in without:
                path.write_bytes(members[f"{camera['name']}.png"])


def test_import_reads_no_hand_label_and_names_what_is_missing(chain, drives, tmp_path):
    token = chain.drives.tokens()[3]
    recipe = LabelRecipe(labeler="import", folder=str(tmp_path / "camseg"), keyframes_per_shard=4)
    masks_for(chain, tmp_path / "camseg", without=[token])
    with pytest.raises(DataError, match=rf"label: 1 of 11 keyframes are bad.*\n  {token}: .*no readable mask"):
        stage.run(drives, recipe)
    masks_for(chain, tmp_path / "camseg")
    labels = stage.run(drives, recipe)
    assert labels.manifest.summary["accuracy"] is None
    assert labels.manifest.summary["kind"] == "import"
    for name in ("pairs_by_class", "classes"):
        assert labels.manifest.summary[name] == chain.made["label"].manifest.summary[name]
    reads = drives.store.traffic.reads
    assert not [blob.path for blob in drives.manifest.data if "lidarseg" in blob.path and reads[blob.key]]


def test_a_few_missing_masks_are_left_out_and_counted(chain, drives, tmp_path, monkeypatch):
    monkeypatch.setattr("olivine.quarantine.MAX_BAD_SHARE", 0.1)
    token = chain.drives.tokens()[3]
    masks_for(chain, tmp_path / "camseg", without=[token])
    labels = stage.run(drives, LabelRecipe(labeler="import", folder=str(tmp_path / "camseg")))
    assert [item.frame for item in labels.manifest.quarantined] == [token]
    assert labels.manifest.counts["keyframes"] == 10
    assert token not in Pack(labels).index.column("keyframe")


def test_a_damaged_store_is_no_bad_frame(own_chain, monkeypatch):
    """Were it quarantined, the labels would be published without these frames and stay so after the repair."""
    monkeypatch.setattr("olivine.quarantine.MAX_BAD_SHARE", 1.0)
    drives = own_chain.made["ingest"]
    assert damage(own_chain, drives, "lidarseg/00002")
    with pytest.raises(IntegrityError, match=r"lidarseg/00002.tar"):
        stage.run(drives, LabelRecipe(labeler="truth"))
