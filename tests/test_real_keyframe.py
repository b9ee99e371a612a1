"""The real keyframe through every stage. It has one scene, so train and test are two ingests of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import VERSION, Chain, quietly, run_chain

from olivine.drives import Drives
from olivine.store import open_store

LIDAR_POINTS = 34_688


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A copy with the classes derived from its boxes laid over it. Its scores mean nothing."""
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real keyframe to run")
    source, root = Path(os.environ["OLIVINE_REAL_DATA"]), tmp_path_factory.mktemp("real") / "nuscenes"
    for folder in ("nuscenes", "nuscenes_derived_lidarseg"):
        if (source / folder).is_dir():
            shutil.copytree(source / folder, root, dirs_exist_ok=True)
        else:
            pytest.skip(f"{source} has no folder {folder}")
    return root


def only(root, split):
    content = {name: ["scene-0061"] if name == split else [] for name in ("train", "select", "test")}
    (root / VERSION / "splits.json").write_text(json.dumps(content))


def test_every_stage(real, tmp_path):
    chain = Chain(real, open_store(str(tmp_path / "store")))
    run_chain(chain, ("ingest",))
    drives = chain.made["ingest"].manifest
    assert drives.summary["scenes"] == {"train": ["scene-0061"], "select": [], "test": []}
    assert drives.summary["image_size"] == [1600, 900]
    assert drives.summary["synthetic"] is False
    assert drives.counts["points"] == LIDAR_POINTS
    assert drives.counts["quarantined"] == 0
    assert 15_000 < drives.counts["pairs"] < 40_000
    assert "CC BY-NC-SA 4.0" in drives.licences[0]
    settings = {
        "label": ["label.labeler=truth", "label.classes=nuscenes16"],
        "pretrain": ["pretrain.batch_size=1", "pretrain.epochs=2"],
        "finetune": ["finetune.every_nth=1", "finetune.batch_size=1"],
    }
    for word in ("label", "weigh", "pretrain", "finetune"):
        chain.made[word] = chain.run(word, *settings.get(word, []))
    assert chain.made["label"].manifest.summary["accuracy"] == 1.0
    assert chain.made["label"].manifest.counts["labelled_pairs"] > 100
    assert chain.made["pretrain"].manifest.counts == {"keyframes": 1, "steps": 2}
    assert np.isfinite(chain.made["pretrain"].manifest.summary["loss"])
    assert chain.made["finetune"].manifest.summary["init"] == "olivine"
    only(real, "test")
    held_out = run_chain(Chain(real, chain.store), ("ingest",)).made["ingest"]
    assert held_out.id != chain.made["ingest"].id
    call = chain.call("evaluate")
    call.inputs["drives"] = held_out.id
    metrics = quietly("evaluate", call).manifest
    assert metrics.counts == {"keyframes": 1, "points": LIDAR_POINTS}
    label_N = Drives(held_out).lidarseg(Drives(held_out).tokens("test")[0])
    assert metrics.summary["num_points"] == np.count_nonzero(label_N)
    assert 0 <= metrics.summary["miou"] <= 1
