"""The stage `pretrain`: what it may read, what it refuses, and that it is repeatable. test_resume.py kills it."""

from __future__ import annotations

import json

import pytest
import torch
from chain import Chain, damage, quietly, run_chain

from olivine.artifacts import verify
from olivine.errors import UsageError
from olivine.pretrain.distiller import Distiller
from olivine.recipes import load_recipe
from olivine.store import open_store
from olivine.training.tensors import bytes_tensors


def test_no_hand_label_no_rendering_and_nothing_of_test_is_opened(chain):
    assert chain.read_keyframes("pretrain", "lidarseg") == set()
    assert chain.read_keyframes("pretrain", "simulation") == set()
    assert chain.read_keyframes("pretrain", "shards") == set(chain.drives.tokens("all_train"))
    indexes = {blob.path: blob.key for blob in chain.made["ingest"].manifest.data if blob.path.endswith(".parquet")}
    assert not chain.reads["pretrain"][indexes["lidarseg_index.parquet"]]
    assert not chain.reads["pretrain"][indexes["simulation_index.parquet"]]


def test_it_runs_where_hand_labels_are_destroyed(own_chain):
    drives = own_chain.made["ingest"]
    assert len(damage(own_chain, drives, "lidarseg")) == 12
    assert len(damage(own_chain, drives, "simulation")) == 12
    made = own_chain.run("pretrain", "pretrain.checkpoint_every=3")
    assert made.id != own_chain.made["pretrain"].id
    assert made.manifest.data_digest == own_chain.made["pretrain"].manifest.data_digest


def test_the_chain_again_in_another_store_is_the_same(chain, tmp_path):
    """Same drives, same recipe: every id and every byte, also with one thread more or less where torch has no part."""
    again = run_chain(Chain(chain.root, open_store(str(tmp_path / "again"))))
    for word, artifact in chain.made.items():
        assert (again.made[word].id, again.made[word].manifest.data_digest) == (
            artifact.id,
            artifact.manifest.data_digest,
        )
        assert again.made[word].manifest == artifact.manifest


def test_again_without_work(own_chain):
    before = own_chain.store.traffic.written_bytes
    made = quietly("pretrain", own_chain.call("pretrain"))
    assert made.manifest == own_chain.made["pretrain"].manifest
    assert made.store.traffic.written_bytes == before == 0


def test_what_is_published(chain):
    backbone = chain.made["pretrain"]
    assert verify(backbone) == []
    assert backbone.manifest.counts == {"keyframes": 9, "steps": 4}
    history = json.loads(backbone.read("history.json"))
    assert [entry["step"] for entry in history] == [0, 1, 2, 3]
    assert set(history[0]) == {"step", "lr", "loss", "point_pixel", "category", "consistency"}
    assert backbone.manifest.summary["loss"] == history[-1]["loss"]
    assert backbone.manifest.summary["weak_labels"] == "simulated"
    whole = bytes_tensors(backbone.read("distiller.safetensors"), "distiller")
    part = bytes_tensors(backbone.read("backbone.safetensors"), "backbone")
    assert all(torch.equal(whole[f"backbone.{name}"], tensor) for name, tensor in part.items())
    recipe = load_recipe("tiny_cpu").pretrain
    fresh = Distiller(recipe, 13, 64)
    fresh.load_state_dict(whole, strict=True)
    start = Distiller(recipe, 13, 64).state_dict()
    assert not torch.equal(start["backbone.conv0p1s1.kernel"], part["conv0p1s1.kernel"])


def test_weights_of_other_labels_are_refused(own_chain):
    """Pair labels come with the weights: their classes would be those of other labels."""
    labels = own_chain.run("label", "label.seed=7")
    call = own_chain.call("pretrain")
    call.inputs["weak_labels"] = labels.id
    with pytest.raises(UsageError, match=r"density_weights \w+ was made from weak_labels \w+, not from"):
        quietly("pretrain", call)


def test_too_few_keyframes_are_told_before_images_are_encoded(own_chain):
    before = set(own_chain.store.list(""))
    with pytest.raises(UsageError, match="9 keyframes do not fill one batch of 10: give more drives or a smaller"):
        own_chain.run("pretrain", "pretrain.batch_size=10", "pretrain.encoder.width=192")
    assert set(own_chain.store.list("")) == before
