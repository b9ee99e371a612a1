"""What a run reports of its steps, and what the records in the store add to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from olivine.artifacts import Artifact
from olivine.artifacts.record import records_folder
from olivine.platform.result import RunResult, StepResult, read_costs, step_label
from olivine.store import open_store

NOW = datetime.now(UTC)


@pytest.fixture
def sample(tmp_path: Path, publish_sample: Callable[..., Artifact]) -> Artifact:
    artifact = publish_sample(open_store(str(tmp_path / "store")))
    for key in list(artifact.store.list(records_folder(artifact.manifest))):
        artifact.store.delete(key)
    return artifact


def add_record(artifact: Artifact, started: datetime, wall_s: float) -> None:
    record = {"started": started.isoformat(), "wall_s": wall_s, "peak_rss_mb": 10 * wall_s}
    artifact.store.create(f"{records_folder(artifact.manifest)}/{wall_s}.json", json.dumps(record).encode())


def test_a_record_from_before_the_step_means_found(sample: Artifact) -> None:
    add_record(sample, NOW - timedelta(seconds=1), 3.0)
    costs = read_costs(sample.store.url, sample.manifest, NOW)
    assert costs == {"found": True, "made_wall_s": 3.0, "peak_rss_mb": 30.0}


def test_the_newest_record_counts(sample: Artifact) -> None:
    add_record(sample, NOW - timedelta(days=1), 3.0)
    add_record(sample, NOW + timedelta(seconds=1), 2.0)
    costs = read_costs(sample.store.url, sample.manifest, NOW)
    assert costs == {"found": False, "made_wall_s": 2.0, "peak_rss_mb": 20.0}


def test_without_a_record_an_artifact_was_found(sample: Artifact) -> None:
    assert read_costs(sample.store.url, sample.manifest, NOW) == {"found": True}


def test_a_store_that_cannot_be_read_costs_no_run(sample: Artifact) -> None:
    assert read_costs("http://nowhere", sample.manifest, NOW) == {}


def test_labels() -> None:
    assert step_label("ingest", None, None) == "ingest"
    assert step_label("finetune", "random", 0) == "finetune from random, seed 0"


def test_steps_of_a_stage_are_sorted_by_start_and_seed() -> None:
    steps = [StepResult("evaluate", init, seed, 0, 1.0) for init in ("random", "backbone") for seed in (10, 2)]
    result = RunResult([*steps, StepResult("ingest", None, None, 0, 1.0)])
    assert [(step.init, step.seed) for step in result.of_stage("evaluate")] == [
        ("backbone", 2),
        ("backbone", 10),
        ("random", 2),
        ("random", 10),
    ]
    assert (steps[0].id, steps[0].data_digest) == (None, None)
