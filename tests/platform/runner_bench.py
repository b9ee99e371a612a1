"""Runs of the real compiled pipeline through the real local runner, with a stand-in for the commands of the steps.

The stand-in (stand_in.py) makes small real artifacts: training would take minutes where only the runner is in question.
The real steps are run in tests/pipelines.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from olivine.platform import steps
from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult, StepResult

STAND_IN = Path(__file__).with_name("stand_in.py")


@dataclass
class Watched:
    """Everything a watcher was told."""

    started: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    ended: list[StepResult] = field(default_factory=list)
    failed: list[tuple[str, str, bool]] = field(default_factory=list)

    def start(self, label: str) -> None:
        self.started.append(label)

    def line(self, label: str, text: str) -> None:
        self.lines.append((label, text))

    def end(self, step: StepResult) -> None:
        self.ended.append(step)

    def fail(self, label: str, message: str, again: bool) -> None:
        self.failed.append((label, message, again))


@dataclass
class Bench:
    """A folder with a store, and what the stand-in noted of its calls."""

    folder: Path
    watched: Watched = field(default_factory=Watched)

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    @property
    def store(self) -> str:
        return str(self.folder / "store")

    def run(self, *actions: str, timeout_s: float = 120.0, **parameters: Any) -> RunResult:
        """Run the pipeline `full`; `actions` say what the stand-in does beside its work."""
        settings = [f"act={action}" for action in actions]
        given = {"drives": "raw", "store": self.store, "recipe": "tiny_cpu", "settings": settings} | parameters
        return run_pipeline("full", given, self.folder / "out", self.watched, timeout_s)

    def calls(self, word: str = "") -> list[dict[str, Any]]:
        """The calls of the stand-in in their order."""
        notes = [json.loads(path.read_text()) for path in sorted(self.notes.glob("*.json"))]
        return [note for note in notes if word in ("", note["word"])]

    def hanging(self) -> list[int]:
        """Process ids of a step that hangs and of its child, once it does."""
        wait_until((self.notes / "hanging").exists)
        return [int(pid) for pid in (self.notes / "hanging").read_text().split()]


def use_stand_in(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setitem(steps.PROGRAMS, "olivine", (sys.executable, str(STAND_IN)))
    monkeypatch.setattr(steps, "RETRY_WAIT_S", 0.0)
    (bench.folder / "tmp").mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(bench.folder / "tmp"))
    monkeypatch.setenv("STAND_IN_NOTES", str(bench.notes))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process still does something: neither gone nor a zombie that nobody has collected yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def environment_of(bench: Bench) -> dict[str, str]:
    root = Path(__file__).resolve().parents[2]
    return os.environ | {
        "STAND_IN_NOTES": str(bench.notes),
        "PYTHONPATH": str(root),
        "TMPDIR": str(bench.folder / "tmp"),
    }
