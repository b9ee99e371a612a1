"""Ends the steps of a run whose runner was killed: a process that reads from a pipe until the runner is gone.

Started as a script, `watchdog.py [FOLDER [COMMAND...]]`, with the standard library alone, so that it is there within
milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

GRACE_S = 30.0
"""Time between SIGTERM and SIGKILL: enough for a last checkpoint."""


def main() -> None:
    """Read `+<group>` and `-<group>` lines; at the end of input, end the groups that are left, run a command (for what
    is in no group of ours), and remove a folder.
    """
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        change = groups.add if line.startswith(b"+") else groups.discard
        change(int(line[1:]))
    groups = _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = _signal(groups, 0)
    _signal(groups, signal.SIGKILL)
    if sys.argv[2:]:
        with contextlib.suppress(OSError):
            subprocess.run(sys.argv[2:], check=False)
    if sys.argv[1:]:
        shutil.rmtree(sys.argv[1], ignore_errors=True)


def _signal(groups: set[int], number: int) -> set[int]:
    """Signal process groups; return those that exist."""
    there = set()
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            there.add(group)
    return there


if __name__ == "__main__":
    main()
