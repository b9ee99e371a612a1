"""A labelling that groups share, with its real steps through the local runner, on tiny synthetic drives."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain import Chain

from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult
from olivine.store import Store, open_store

SETTINGS = ["label.keyframes_per_shard=2"]


def relabel(store: Store, drives_id: str, number: int) -> RunResult:
    given = {"store": store.url, "drives_id": drives_id, "recipe": "tiny_cpu", "settings": SETTINGS}
    return run_pipeline("relabel", given | {"label_groups": number})


@pytest.mark.timeout(600)
def test_two_groups_make_what_one_step_makes(chain_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = {}
    for number in (1, 2):
        store = open_store(str(tmp_path / f"store-{number}"))
        drives_id = Chain(chain_root, store).run("ingest").id
        result = relabel(store, drives_id, number)
        made[number] = {step.stage: (step.id, step.data_digest) for step in result.steps if step.manifest}
    assert made[1].keys() == {"label", "weigh"}
    assert made[2] == made[1]
    assert [step.label for step in result.steps if step.stage != "share"] == ["groups", "label", "weigh"]
    assert sorted(step.label for step in result.steps if step.stage == "share") == ["share 1/2", "share 2/2"]
    assert not result.of_stage("label")[0].found
