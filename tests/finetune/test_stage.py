"""The stage `finetune`: whose labels it reads, where it starts, what it refuses. test_resume.py kills it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from chain import VERSION, Chain, damage, quietly, run_chain

from olivine.artifacts import Artifact, verify
from olivine.errors import DataError, UsageError
from olivine.finetune import stage
from olivine.finetune.curve import select_miou
from olivine.metrics.confusion import Confusion
from olivine.metrics.iou import mean_iou
from olivine.models.network_recipe import IntensityRecipe
from olivine.models.predict import predict_keyframes
from olivine.models.segmenter import Segmenter
from olivine.nuscenes_categories import NUM_CATEGORIES
from olivine.recipes import load_recipe
from olivine.store import open_store
from olivine.training.tensors import bytes_tensors

RECIPE = load_recipe("tiny_cpu").finetune


def test_hand_labels_of_the_fraction_and_of_select_alone_are_read(chain):
    train, select = chain.drives.tokens("train"), chain.drives.tokens("select")
    assert chain.read_keyframes("finetune", "lidarseg") == {*train[1::2], *select}
    assert chain.made["finetune"].manifest.summary["keyframes"] == train[1::2]
    assert chain.read_keyframes("finetune", "shards") == {*train[1::2], *select}
    assert chain.read_keyframes("finetune", "simulation") == set()


def test_without_a_curve_no_label_of_select_is_read(own_chain):
    made = own_chain.run("finetune", "finetune.curve_points=0")
    own_chain.reads["finetune"] = made.store.traffic.reads
    assert own_chain.read_keyframes("finetune", "lidarseg") == set(own_chain.drives.tokens("train")[1::2])
    assert made.manifest.summary["select_miou"] is None


def test_it_runs_where_all_other_labels_are_gone(own_root, tmp_path, monkeypatch):
    """Drives of which only the labelled fraction was ever labelled."""
    table = own_root / VERSION / "lidarseg.json"
    rows = {row["sample_data_token"]: row for row in json.loads(table.read_text())}
    full = run_chain(Chain(own_root, open_store(str(tmp_path / "full"))), ("ingest",))
    lidar = full.drives.column("lidar_token")
    labelled = full.drives.tokens("train")[1::2]
    table.write_text(json.dumps([rows[lidar[token]] for token in labelled]))
    for token, row in rows.items():
        if token not in {lidar[keyframe] for keyframe in labelled}:
            (own_root / row["filename"]).unlink()
    few = run_chain(Chain(own_root, open_store(str(tmp_path / "few"))), ("ingest",))
    assert few.made["ingest"].manifest.counts["lidarseg"] == 4
    results = [chain.run("finetune", "finetune.curve_points=0") for chain in (full, few)]
    assert results[0].manifest.data_digest == results[1].manifest.data_digest
    others = few.drives.tokens("train")[::2]
    first = few.drives.column("scene")[others[0]]
    message = rf"4 of 8 keyframes of the labelled fraction of drives \w+ have no hand labels, in: {first} \(1\), "
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_train", lambda *given, **named: pytest.fail("a step was done"))
        with pytest.raises(DataError, match=message):
            few.run("finetune", "finetune.curve_points=0", "finetune.every_nth=1")
        with pytest.raises(DataError, match="keyframes of the split select of drives"):
            few.run("finetune")


def test_damaged_labels_of_others_do_not_matter(own_chain):
    drives = own_chain.made["ingest"]
    train = own_chain.drives.tokens("train")
    for row, token in enumerate(own_chain.drives.tokens()):
        if token not in train[1::2]:
            assert damage(own_chain, drives, f"lidarseg/{row:05d}.tar")
    made = own_chain.run("finetune", "finetune.curve_points=0", "finetune.checkpoint_every=1")
    found, expected = (
        bytes_tensors(artifact.read("segmenter.safetensors"), "") for artifact in (made, own_chain.made["finetune"])
    )
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_again_without_work_and_another_seed(own_chain):
    made = own_chain.run("finetune")
    assert made.manifest == own_chain.made["finetune"].manifest
    assert made.store.traffic.written_bytes == 0
    other = own_chain.run("finetune", "finetune.seed=1")
    assert other.manifest.seed == 1
    assert other.manifest.data_digest != made.manifest.data_digest


def test_what_is_published(chain):
    made = chain.made["finetune"]
    assert verify(made) == []
    assert made.manifest.counts == {"keyframes": 4, "steps": 4}
    history = json.loads(made.read("history.json"))
    assert [entry["step"] for entry in history["loss"]] == [0, 1, 2, 3]
    assert [entry["step"] for entry in history["select_miou"]] == [4]
    summary = made.manifest.summary
    assert (summary["init"], summary["fraction"], summary["left_out"]) == ("olivine", "1/2 by scene", None)


def test_what_the_fraction_was_counted_without_is_said(own_chain, monkeypatch, capfd):
    monkeypatch.setattr(stage, "left_out_of", lambda manifest, splits: f"Something of {splits} is missing.")
    made = own_chain.run("finetune", "finetune.curve_points=0", "finetune.epochs=1", "finetune.seed=3")
    assert made.manifest.summary["left_out"] == "Something of train is missing."
    assert "note: Something of train is missing." in capfd.readouterr().err


def test_the_history_and_its_last_score(chain):
    made = chain.made["finetune"]
    history, summary = json.loads(made.read("history.json")), made.manifest.summary
    assert summary["select_miou"] == history["select_miou"][0]["miou"]


def test_the_curve_is_the_score_on_select(chain):
    segmenter = Segmenter(RECIPE.network, RECIPE.bn_momentum, 0)
    made = chain.made["finetune"]
    segmenter.load_state_dict(bytes_tensors(made.read("segmenter.safetensors"), ""))
    assert select_miou(segmenter, chain.drives, RECIPE.network) == made.manifest.summary["select_miou"]
    confusion = Confusion(NUM_CATEGORIES + 1)
    for token, category_N in predict_keyframes(segmenter, chain.drives, RECIPE.network, chain.drives.tokens("select")):
        confusion.add(chain.drives.lidarseg(token), category_N)
    assert mean_iou(confusion.counts_CC) == made.manifest.summary["select_miou"]


def test_drives_without_select_have_no_curve(own_root, tmp_path):
    splits = own_root / VERSION / "splits.json"
    content = json.loads(splits.read_text())
    splits.write_text(json.dumps(content | {"select": [], "test": content["test"] + content["select"]}))
    made = run_chain(Chain(own_root, open_store(str(tmp_path / "store"))), ("ingest",)).run("finetune")
    assert made.manifest.summary["select_miou"] is None
    assert json.loads(made.read("history.json"))["select_miou"] == []


@pytest.mark.parametrize(
    ("most", "intensity", "refusal"),
    [
        (255.0, None, None),
        (1.0, IntensityRecipe(scale=255, for_max=1), None),
        (None, IntensityRecipe(scale=255), None),
        (
            255.0,
            IntensityRecipe(scale=255, for_max=1),
            "of 0..255, and the recipe is for 0..1. Set finetune.network.intensity=null.",
        ),
        (100.0, None, 'of 0..100, and the recipe is for 0..255. Say .*={"scale": 2.55, "for_max": 100}, or take a'),
        (1.0, IntensityRecipe(scale=255), "of 0..1, and the recipe is for drives whose table states none. Say how"),
        (255.0, IntensityRecipe(scale=1), "of 0..255, and the recipe is for drives whose table states none. Set "),
        (None, None, 'their table does not state, and the recipe is for 0..255. .*={"scale": 255, "for_max": null}'),
        (None, IntensityRecipe(scale=255, for_max=1), "does not state, and the recipe is for 0..1. `olivine datasets"),
    ],
)
def test_the_recipe_is_for_the_intensities_of_the_drives(chain, most, intensity, refusal):
    drives = chain.made["ingest"]
    summary = drives.manifest.summary | {"intensity_max": most}
    drives = Artifact(drives.store, drives.manifest.model_copy(update={"summary": summary}))
    network = RECIPE.network.model_copy(update={"intensity": intensity})
    recipe = RECIPE.model_copy(update={"network": network})
    if refusal is None:
        stage._check_intensity(drives, recipe)
        return
    with pytest.raises(UsageError, match=refusal):
        stage._check_intensity(drives, recipe)


def test_it_starts_from_the_backbone(chain):
    segmenter = Segmenter(RECIPE.network, RECIPE.bn_momentum, 0)
    before = segmenter.head.kernel.clone()
    stage._load_backbone(segmenter, chain.made["pretrain"], RECIPE)
    tensors = bytes_tensors(chain.made["pretrain"].read("backbone.safetensors"), "")
    assert all(torch.equal(segmenter.backbone.state_dict()[name], tensor) for name, tensor in tensors.items())
    assert torch.equal(segmenter.head.kernel, before)


def test_rates_of_both_arms():
    segmenter = Segmenter(RECIPE.network, RECIPE.bn_momentum, 0)
    recipe = RECIPE.model_copy(update={"head_lr": 2.0, "random_lr": 0.05})
    for from_random, rates in ((False, [recipe.optimizer.lr, 2.0]), (True, [0.05, 0.05])):
        groups = stage._groups(segmenter, recipe, from_random)
        assert [group["lr"] for group in groups] == rates
        found = [parameter for group in groups for parameter in group["params"]]
        assert {id(parameter) for parameter in found} == {id(parameter) for parameter in segmenter.parameters()}
        assert [len(group["params"]) for group in groups][1] == 2


def test_from_random(own_chain):
    call = own_chain.call("finetune")
    del call.inputs["backbone"]
    made = quietly("finetune", call)
    assert made.manifest.summary["init"] == "random"
    assert set(made.manifest.inputs) == {"drives"}
    assert json.loads(made.read("history.json"))["loss"][0]["lr"] == RECIPE.random_lr
    assert json.loads(own_chain.made["finetune"].read("history.json"))["loss"][0]["lr"] == RECIPE.optimizer.lr


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("finetune.network.voxel_size=[0.5,0.5,0.5]", r"voxel_size \[0.6, 0.6, 0.6\] instead of \[0.5, 0.5, 0.5\]"),
        ("finetune.network.coordinates=cylindrical", "coordinates cartesian instead of cylindrical"),
        ("finetune.network.widths=[4,4,8,8,8,8,8,8,9]", r"widths \[4.* instead of \[4.*9\]"),
    ],
)
def test_another_network_than_the_backbones_is_refused(own_chain, setting, message):
    with pytest.raises(UsageError, match=rf"was trained with another network: {message}. Fine-tune with the recipe"):
        own_chain.run("finetune", setting)


def test_a_checkpoint_of_the_pretraining_is_no_backbone(own_chain):
    call = own_chain.call("finetune")
    call.inputs["backbone"] = own_chain.made["pretrain"].manifest.summary["image_features"]
    with pytest.raises(UsageError, match=rf"is no backbone in .*; here: {own_chain.made['pretrain'].id[:12]}"):
        quietly("finetune", call)


def test_a_loss_that_is_no_number_stops_it():
    segmenter = Segmenter(RECIPE.network, RECIPE.bn_momentum, 0)
    before = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    optimizer = torch.optim.SGD(segmenter.parameters(), lr=1.0)
    for value in ("nan", "inf"):
        loss = segmenter.head.kernel.sum() * float(value)
        with pytest.raises(
            DataError, match=r"the loss is not finite. Lower the learning rates or set optimizer.clip_norm"
        ):
            stage._step(optimizer, segmenter, loss, RECIPE)
    assert all(torch.equal(before[name], tensor) for name, tensor in segmenter.state_dict().items())


def test_copies_of_the_store_find_the_same(own_chain, tmp_path):
    moved = shutil.copytree(own_chain.store.url.removeprefix("file://"), tmp_path / "moved")
    made = quietly("finetune", own_chain.call("finetune", store=str(moved)))
    assert made.manifest == own_chain.made["finetune"].manifest


@pytest.mark.parametrize("frozen", ["augmented", "cached"])
def test_a_linear_probe_moves_the_head_alone(own_chain, frozen):
    made = own_chain.run("finetune", f"finetune.frozen={frozen}", "finetune.curve_points=2")
    probe = bytes_tensors(made.read("segmenter.safetensors"), "")
    backbone = bytes_tensors(own_chain.made["pretrain"].read("backbone.safetensors"), "")
    assert all(torch.equal(probe[f"backbone.{name}"], tensor) for name, tensor in backbone.items()), "statistics too"
    start = Segmenter(RECIPE.network, RECIPE.bn_momentum, 0).state_dict()
    assert not torch.equal(probe["head.kernel"], start["head.kernel"])
    assert made.manifest.summary["frozen"] == frozen
    curve = json.loads(made.read("history.json"))["select_miou"]
    assert len(curve) >= 2


def test_a_cached_probe_is_an_augmented_one_without_augmentation(own_chain, monkeypatch):
    results = {}
    for frozen in ("augmented", "cached"):
        monkeypatch.setattr("olivine.finetune.samples.rotate_flip", lambda points_N4, rng: points_N4)
        made = own_chain.run("finetune", f"finetune.frozen={frozen}", "finetune.curve_points=0")
        results[frozen] = bytes_tensors(made.read("segmenter.safetensors"), "")["head.kernel"]
    torch.testing.assert_close(results["augmented"], results["cached"], rtol=1e-4, atol=1e-6)
