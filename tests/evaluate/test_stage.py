"""The stage `evaluate`: its numbers from an independent count, and what it reads."""

from __future__ import annotations

import json

import numpy as np
import pytest
from chain import VERSION, Chain, run_chain

from olivine.artifacts import verify
from olivine.errors import DataError
from olivine.models.cloud import collate
from olivine.models.network import prepare_cloud
from olivine.models.segmenter import Segmenter
from olivine.nuscenes_categories import CATEGORY_NAMES
from olivine.packs import Pack, bytes_array
from olivine.recipes import load_recipe
from olivine.store import open_store
from olivine.training.tensors import bytes_tensors

RECIPE = load_recipe("tiny_cpu").finetune


def test_predictions_are_the_segmenters(chain):
    made, segmenter = chain.made["finetune"], Segmenter(RECIPE.network, RECIPE.bn_momentum, 0).eval()
    segmenter.load_state_dict(bytes_tensors(made.read("segmenter.safetensors"), ""))
    pack = Pack(chain.made["evaluate"])
    assert pack.index.column("keyframe") == chain.drives.tokens("test")
    assert set(pack.index.column("split")) == {"test"}
    for token in chain.drives.tokens("test"):
        cloud = prepare_cloud(chain.drives.keyframe(token).points_N4, RECIPE.network)
        expected_R = segmenter.predict(collate([cloud])).numpy()
        assert np.array_equal(bytes_array(pack.head(token)["category.npy"]), expected_R[cloud.row_N])


def test_scores_equal_an_independent_count(chain):
    metrics = chain.made["evaluate"]
    assert verify(metrics) == []
    pack, drives = Pack(metrics), chain.drives
    target_P = np.concatenate([drives.lidarseg(token) for token in drives.tokens("test")])
    found_P = np.concatenate([bytes_array(pack.head(token)["category.npy"]) for token in drives.tokens("test")])
    assert found_P.min() >= 1
    assert found_P.max() <= 16
    scored = target_P != 0
    iou = {}
    for category, name in enumerate(CATEGORY_NAMES, start=1):
        hit = ((target_P == category) & (found_P == category) & scored).sum()
        union = (((target_P == category) | (found_P == category)) & scored).sum()
        iou[name] = hit / union if union else None
    summary = metrics.manifest.summary
    for name, value in iou.items():
        assert summary["per_category"][name] == (None if value is None else pytest.approx(value, rel=1e-6))
    present = [value for value in iou.values() if value is not None]
    assert summary["miou"] == pytest.approx(np.mean(present), rel=1e-6)
    assert (summary["num_points"], summary["num_sweeps"], summary["split"]) == (int(scored.sum()), 2, "test")
    assert (summary["init"], summary["fraction"]) == ("olivine", "1/2 by scene")
    assert metrics.manifest.counts == {"keyframes": 2, "points": len(target_P)}
    assert json.loads(metrics.read("metrics.json"))["miou"] == summary["miou"]
    confusion_CC = bytes_array(metrics.read("confusion.npy"))
    expected_CC = np.zeros((17, 17), int)
    np.add.at(expected_CC, (target_P, found_P), 1)
    assert np.array_equal(confusion_CC, expected_CC)


def test_a_category_that_never_occurs_has_no_score(chain, own_root, tmp_path):
    """Keep vehicles and road: the mean is over what is there or was predicted."""
    rows = json.loads((own_root / VERSION / "lidarseg.json").read_text())
    for row in rows:
        raw_N = np.fromfile(own_root / row["filename"], np.uint8)
        raw_N[raw_N != 24] = 0
        raw_N.tofile(own_root / row["filename"])
    own = run_chain(Chain(own_root, open_store(str(tmp_path / "store"))), ("ingest", "label"))
    call = own.call("finetune", "finetune.epochs=30", "finetune.curve_points=0")
    own.made["finetune"] = own.run("finetune", *call.settings)
    summary = own.run("evaluate").manifest.summary
    assert summary["per_category"] == dict.fromkeys(CATEGORY_NAMES) | {"driveable_surface": 1.0}
    assert summary["miou"] == 1.0


def test_labels_of_test_alone_are_read(chain):
    assert chain.read_keyframes("evaluate", "lidarseg") == set(chain.drives.tokens("test"))
    assert chain.read_keyframes("evaluate", "shards") == set(chain.drives.tokens("test"))


def test_nobody_read_a_hand_label_of_test_before(chain):
    test = set(chain.drives.tokens("test"))
    for word in ("label", "weigh", "pretrain", "finetune"):
        assert not chain.read_keyframes(word, "lidarseg") & test, word


def test_again_without_work_and_on_select(own_chain):
    made = own_chain.run("evaluate")
    assert made.manifest == own_chain.made["evaluate"].manifest
    assert made.store.traffic.written_bytes == 0
    other = own_chain.run("evaluate", "evaluate.split=select")
    assert other.id != made.id
    assert other.manifest.summary["miou"] == own_chain.made["finetune"].manifest.summary["select_miou"]


def test_an_empty_split_is_an_error(own_root, tmp_path):
    splits = own_root / VERSION / "splits.json"
    content = json.loads(splits.read_text())
    splits.write_text(json.dumps(content | {"select": [], "train": content["train"] + content["select"]}))
    own = run_chain(Chain(own_root, open_store(str(tmp_path / "store"))), ("ingest",))
    own.made["finetune"] = own.run("finetune")
    with pytest.raises(DataError, match="have no keyframe in the split 'select'"):
        own.run("evaluate", "evaluate.split=select")
