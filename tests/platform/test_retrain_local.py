"""The pipeline of the schedule through the local runner: its own steps are real, those that train are stood in for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from registry.samples import VERSION, add
from runner_bench import Bench

from olivine.artifacts import find_artifact
from olivine.errors import DataError
from olivine.platform.local import run_pipeline
from olivine.registry.decision import Decision
from olivine.registry.documents import read_document
from olivine.registry.plan import read_marked
from olivine.registry.promotion import read_history
from olivine.store import Store, open_store


def retrain(bench: Bench, **parameters: Any) -> list[str]:
    """Run it once; return its stages in order."""
    given = {"store": bench.store, "version": VERSION, "recipe": "tiny_cpu"} | parameters
    return [step.stage for step in run_pipeline("retrain_on_new_drives", given, None, bench.watched).steps]


def ends(store: Store) -> list[str]:
    return sorted(json.loads(store.read(key))["state"] for key in store.list("records/ended"))


@pytest.mark.timeout(600)
def test_a_fleet_that_grows(bench: Bench, tmp_path: Path) -> None:
    store = open_store(bench.store)
    add(store, tmp_path, "monday")
    with pytest.raises(DataError):
        retrain(bench, settings=["act=weigh:exit 65"])
    first = retrain(bench)
    assert first == ["plan", "ingest", "label", "weigh", "pretrain", "finetune", "evaluate", "gate"]
    assert read_marked(store).keys() == {"monday"}

    assert retrain(bench) == ["plan"], "nothing new: one cheap step, and a green end"

    add(store, tmp_path, "tuesday")
    assert sorted(retrain(bench)) == sorted([*first, "evaluate"]), "the promoted one is scored on the new drives too"
    assert read_marked(store).keys() == {"monday", "tuesday"}
    cold, warm = bench.calls("pretrain")
    assert cold["parameters"]["start_id"] == ""
    (first_backbone,) = (step.id for step in bench.watched.ended if step.id == warm["parameters"]["start_id"])
    assert (
        find_artifact(store, "pretrain", first_backbone).manifest.inputs["drives"].id == cold["parameters"]["drives_id"]
    )
    newest, oldest = read_history(store)
    decision = read_document(store, f"records/decisions/{newest.decision}.json", Decision)
    assert (decision.candidate_miou, decision.baseline_miou, decision.margin) == (0.25, 0.25, 0.01)
    assert newest.segmenter.id != oldest.segmenter.id
    assert ends(store) == ["FAILED", *["SUCCEEDED"] * 3]
