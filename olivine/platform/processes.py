"""Commands as process groups: each can be timed out and stopped whole, and none outlives the process that runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from olivine.platform import watchdog

_POLL_S = 0.2
_LAST_LINES = 40
_LONGEST_LINE = 1 << 16
# A process that left the group may hold the pipe open after the step has ended.
_READER_WAIT_S = 2.0


@dataclass(frozen=True)
class Ended:
    """How a command ended. `exit_code` is as a shell gives it: 128 + signal where a signal ended it."""

    exit_code: int
    last_lines: tuple[str, ...]
    timed_out: bool


class ProcessGroups:
    """Runs commands, each as the leader of a process group. Use as a context manager; threads may share one.

    Args:
        scratch: folder to be removed in the end, however the end comes about.
        grace_s: time [s] between SIGTERM and SIGKILL.
        clean_up: with a scratch folder: a command to run before it is removed, however the end comes about.
    """

    def __init__(
        self, scratch: Path | None = None, grace_s: float = watchdog.GRACE_S, clean_up: Sequence[str] = ()
    ) -> None:
        self.stopping = False
        self._killing = False
        self._ending = [str(scratch), *clean_up] if scratch else []
        self._grace_s = grace_s

    def __enter__(self) -> ProcessGroups:
        script = [sys.executable, "-I", "-S", watchdog.__file__, *self._ending]
        self._watchdog = subprocess.Popen(
            script, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._watchdog.stdin:
            self._watchdog.stdin.close()
        self._watchdog.wait()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
        timeout_s: float,
    ) -> Ended:
        """Run `command` to its end; each line of its output goes to `on_line` as it comes.

        What the command left running in its group is killed when it ends. OSError when it cannot be started.
        """
        if self.stopping:
            return Ended(128 + signal.SIGTERM, (), timed_out=False)
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._tell_watchdog(f"+{process.pid}\n")
        last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        reader = threading.Thread(target=_read, args=(process.stdout, last_lines, on_line), daemon=True)
        reader.start()
        try:
            timed_out = self._wait(process, time.monotonic() + timeout_s)
        finally:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
            self._tell_watchdog(f"-{process.pid}\n")
        reader.join(_READER_WAIT_S)
        code = process.returncode
        return Ended(code if code >= 0 else 128 - code, tuple(last_lines), timed_out)

    def stop(self) -> None:
        """End all that runs (SIGTERM, after the grace SIGKILL) and start nothing more. Returns at once.

        Safe in a signal handler. A second call kills without waiting for the grace.
        """
        self._killing, self.stopping = self.stopping, True

    def _wait(self, process: subprocess.Popen[str], deadline_s: float) -> bool:
        """Wait for the end, which a stop or the deadline may bring about; return whether it was the deadline."""
        timed_out = False
        kill_at_s: float | None = None
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
                return timed_out
            timed_out = timed_out or time.monotonic() > deadline_s
            if kill_at_s is None and (timed_out or self.stopping):
                _signal_group(process.pid, signal.SIGTERM)
                kill_at_s = time.monotonic() + self._grace_s
            elif kill_at_s is not None and (self._killing or time.monotonic() > kill_at_s):
                _signal_group(process.pid, signal.SIGKILL)

    def _tell_watchdog(self, line: str) -> None:
        # One short write, so that threads cannot mix their lines. Without its watchdog a run goes on.
        with contextlib.suppress(BrokenPipeError):
            if self._watchdog.stdin:
                os.write(self._watchdog.stdin.fileno(), line.encode())


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _read(stream: IO[str], last_lines: deque[str], on_line: Callable[[str], None]) -> None:
    shown = True
    # A bound on the line, because a progress bar may write for hours without an end of line.
    with stream:
        for line in iter(lambda: stream.readline(_LONGEST_LINE), ""):
            last_lines.append(line.rstrip("\n"))
            try:
                if shown:
                    on_line(last_lines[-1])
            except OSError:
                # Nobody reads our output any more; the step must still be able to write its own.
                shown = False
