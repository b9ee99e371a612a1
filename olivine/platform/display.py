"""How a run looks: a line for each finished step on standard output; what steps write, and bars, on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from olivine.platform.result import StepResult

_LABEL_WIDTH = 34


class Display:
    """Shows a run. On a terminal the JSON lines of a step's progress become a bar; elsewhere they pass as they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars = _make_bars() if sys.stderr.isatty() else None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Display:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def start(self, label: str) -> None:
        """A step begins."""
        if self._bars:
            self._tasks[label] = self._bars.add_task(escape(label), total=None, note="")

    def line(self, label: str, text: str) -> None:
        """A step wrote a line."""
        progress = _parse_progress(text) if self._bars else None
        if self._bars and progress and label in self._tasks:
            left = f"{progress['remaining_s']:.0f} s left" if progress.get("remaining_s") else ""
            note = f"{progress['per_s']:.3g} {progress['unit']}/s {left}"
            description = escape(f"{label}: {progress['work']}")
            self._bars.update(
                self._tasks[label],
                completed=progress["done"],
                total=progress["total"],
                note=note,
                description=description,
            )
        else:
            self._say(f"[{label}] {text}")

    def end(self, step: StepResult) -> None:
        """A step ended well."""
        self._remove(step.label)
        made = f"{step.manifest.kind} {step.manifest.id[:12]}" if step.manifest else ""
        how = "found" if step.found else "made"
        with self._lock:
            print(f"{step.label:{_LABEL_WIDTH}} {how:5} {step.wall_s:8.1f} s  {made}".rstrip(), flush=True)

    def fail(self, label: str, message: str, again: bool) -> None:
        """A step failed, for good or to be tried again."""
        if again:
            self._say(f"[{label}] {message} Trying again.")
            return
        self._remove(label)
        with self._lock:
            print(f"{label:{_LABEL_WIDTH}} failed", flush=True)

    def _remove(self, label: str) -> None:
        if self._bars and label in self._tasks:
            self._bars.remove_task(self._tasks.pop(label))

    def _say(self, text: str) -> None:
        with self._lock:
            if self._bars:
                self._bars.console.print(text, markup=False, highlight=False)
            else:
                print(text, file=sys.stderr, flush=True)


def _parse_progress(text: str) -> dict[str, Any] | None:
    """The progress of a step, from the line that `olivine.progress` writes where there is no terminal."""
    if not text.startswith('{"work"'):
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        progress: dict[str, Any] = json.loads(text)
        if all(isinstance(progress[name], int | float) for name in ("done", "total", "per_s")) and "unit" in progress:
            return progress
    return None


def _make_bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
        transient=True,
    )
