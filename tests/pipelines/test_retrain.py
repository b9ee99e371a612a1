"""Scheduled retraining with its real steps: a first model out of registered drives, and then nothing new.

What a second drive changes is in tests/platform/test_retrain_local.py, where the training is stood in for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chain import VERSION
from registry.samples import cut

from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult
from olivine.registry.plan import read_marked
from olivine.registry.promotion import read_promoted
from olivine.registry.ready import add_drive
from olivine.store import Store, open_store

SETTINGS = ["finetune.epochs=1", "ingest.keyframes_per_shard=8"]
STAGES = ["evaluate", "finetune", "gate", "ingest", "label", "plan", "pretrain", "weigh"]


def retrain(store: Store, **parameters: Any) -> RunResult:
    given = {"store": store.url, "version": VERSION, "recipe": "tiny_cpu", "settings": SETTINGS}
    return run_pipeline("retrain_on_new_drives", given | parameters)


@pytest.mark.timeout(600)
def test_a_registered_drive_becomes_a_promoted_model(
    chain_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    scenes = [row["name"] for row in json.loads((chain_root / VERSION / "scene.json").read_text())]
    store = open_store(str(tmp_path / "store"))
    add_drive(store, "monday", cut(chain_root, tmp_path / "monday", [*scenes[:4], scenes[8]]), VERSION)
    result = retrain(store)
    assert sorted(step.stage for step in result.steps) == STAGES
    assert read_marked(store).keys() == {"monday"}
    assert read_promoted(store).segmenter.id == result.of_stage("finetune")[0].id
    assert result.of_stage("evaluate")[0].manifest.summary["split"] == "select"
    assert [step.stage for step in retrain(store).steps] == ["plan"]
