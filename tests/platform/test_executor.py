"""A mistake of the user costs one try in a run, however often the platform tries; a fault costs what it must."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from olivine.errors import ConfigError, DataError, IntegrityError, OlivineError, StoreError, UsageError
from olivine.platform import executor
from olivine.platform.executor import run_executor
from olivine.store import open_store


class Stage:
    """Stands for a stage, and counts how often it ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: OlivineError) -> None:
        self.calls, self.error = 0, error
        monkeypatch.setattr(executor, "run_stage", self._run)

    def _run(self, word: str, executor_input: str) -> Any:
        self.calls += 1
        raise self.error


def given(tmp_path: Path, **parameters: Any) -> str:
    values = {"store": str(tmp_path / "store"), "recipe": "tiny_cpu"} | parameters
    return json.dumps({"inputs": {"parameterValues": values}, "outputs": {"outputFile": str(tmp_path / "out.json")}})


def tried(stage: Stage, text: str) -> str:
    with pytest.raises(type(stage.error)) as failure:
        run_executor("weigh", text)
    return str(failure.value)


@pytest.mark.parametrize("kind", [UsageError, DataError, ConfigError])
def test_a_mistake_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[OlivineError]) -> None:
    monkeypatch.setenv("OLIVINE_RUN", "run-1")
    stage = Stage(monkeypatch, kind("the drives are wrong"))
    assert tried(stage, given(tmp_path)) == "the drives are wrong"
    for _ in range(2):
        assert tried(stage, given(tmp_path)).startswith("the drives are wrong (said by an earlier try")
    assert stage.calls == 1


def test_the_record_of_a_mistake_holds_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLIVINE_RUN", "run-1")
    message = "https://user:a-secret@host answers 403"  # pragma: allowlist secret
    tried(Stage(monkeypatch, ConfigError(message)), given(tmp_path))
    store = open_store(str(tmp_path / "store"))
    (key,) = store.list("records/failures")
    assert b"a-secret" not in store.read(key)
    assert b"@host answers 403" in store.read(key)


def test_other_inputs_and_other_runs_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, DataError("wrong"))
    for run in ("run-1", "run-2"):
        monkeypatch.setenv("OLIVINE_RUN", run)
        for recipe in ("tiny_cpu", "demo"):
            tried(stage, given(tmp_path, recipe=recipe))
    assert stage.calls == 4


@pytest.mark.parametrize("error", [StoreError("away"), OlivineError("a bug"), IntegrityError("was deleted meanwhile")])
def test_a_fault_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OlivineError) -> None:
    monkeypatch.setenv("OLIVINE_RUN", "run-1")
    stage = Stage(monkeypatch, error)
    for _ in range(3):
        tried(stage, given(tmp_path))
    assert stage.calls == 3


def test_outside_of_a_run_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLIVINE_RUN", raising=False)
    stage = Stage(monkeypatch, DataError("wrong"))
    for _ in range(2):
        assert tried(stage, given(tmp_path)) == "wrong"
    assert stage.calls == 2
    assert list(open_store(str(tmp_path / "store")).list("records")) == []
