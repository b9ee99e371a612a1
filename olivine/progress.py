"""Progress of long work: a bar with rate and remaining time on a terminal, a JSON line every few seconds elsewhere."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_LINE_EVERY_S = 5.0


class Progress:
    """Counts finished units of one piece of work. Use as a context manager.

    Args:
        work: what is being done (`ingest`, `pretrain: encode`).
        total: how many units there are; 0 where that is not known.
        unit: the plural of a unit (`keyframes`, `steps`).
        line_every_s: seconds between lines; 0 for a line at every advance.
        shown: False for a process that leaves talking to another one.
    """

    def __init__(
        self, work: str, total: int, unit: str, *, line_every_s: float = _LINE_EVERY_S, shown: bool = True
    ) -> None:
        self.work, self.total, self.unit = work, total, unit
        self.done = 0
        self._start_s = time.monotonic()
        self._line_every_s, self._shown = line_every_s, shown
        self._next_line_s = self._start_s + line_every_s
        self._fresh = 0
        self._bar = _make_bar() if shown and sys.stderr.isatty() else None
        self._task = self._bar.add_task(work, total=total, note="") if self._bar else None

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif kind is None and self._line_every_s:
            self._write_line({})

    def skip(self, units: int) -> None:
        """Count units that an earlier run finished: they are done but say nothing about the rate."""
        self.done += units
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self.done)

    def advance(self, units: int = 1, **values: float) -> None:
        """Count finished units; `values` (a loss, say) are shown with them."""
        self.done += units
        self._fresh += units
        if self._bar and self._task is not None:
            note = " ".join(f"{name} {value:.4g}" for name, value in values.items())
            rate = self._fresh / max(time.monotonic() - self._start_s, 1e-9)
            self._bar.update(self._task, completed=self.done, note=f"{rate:.3g} {self.unit}/s {note}")
        elif time.monotonic() >= self._next_line_s:
            self._write_line(values)

    def _write_line(self, values: dict[str, float]) -> None:
        if not self._shown:
            return
        now = time.monotonic()
        self._next_line_s = now + self._line_every_s
        rate = self._fresh / max(now - self._start_s, 1e-9)
        line: dict[str, Any] = {"work": self.work, "done": self.done, "total": self.total, "unit": self.unit}
        line["per_s"] = round(rate, 3)
        # A total of 0 stands for one that is not known.
        line["remaining_s"] = round((self.total - self.done) / rate, 1) if rate > 0 and self.total else None
        line |= {name: round(value, 6) for name, value in values.items()}
        print(json.dumps(line), file=sys.stderr, flush=True)


def _make_bar() -> RichProgress:
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
