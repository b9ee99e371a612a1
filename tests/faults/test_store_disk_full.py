"""A full disk at any write: one clear error, nothing half published, and the next run completes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("store_disk_worker.py")


def check(runs: list[dict[str, Any]]) -> None:
    failed = [run for run in runs if run["error"] is not None]
    assert failed
    for run in failed:
        assert re.search(r"/store[^:]*: no room, \d+ bytes needed", run["error"]), run["error"]
        assert run["exit_code"] == 74
        assert run["problems"] == []
    assert len({run["digest"] for run in runs}) == 1


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    sizes = [100, 500, 2000, 40_000, 49_999, 50_000]
    command = [sys.executable, str(WORKER), "limit", str(tmp_path), *map(str, sizes)]
    runs = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout)
    check(runs)
    assert [run["error"] is None for run in runs] == [False] * 5 + [True]


def test_a_small_disk_that_is_full_at_every_write(tmp_path: Path) -> None:
    pages = [str(number) for number in range(50)]
    python = shlex.join([sys.executable, str(WORKER), "disk", str(tmp_path), *pages])
    # Mounted in a namespace of its own, which ends with the process.
    script = f"mount -t tmpfs -o size=512k tmpfs {shlex.quote(str(tmp_path))} || exit 99; exec {python}"
    answer = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    if answer.returncode in (1, 99) and "Traceback" not in answer.stderr:
        pytest.skip(f"no small disk: mounting is not allowed here ({answer.stderr.strip()[:100]})")
    assert answer.returncode == 0, answer.stderr
    runs = json.loads(answer.stdout)
    check(runs)
    assert len({run["error"] for run in runs}) >= 5
    assert runs[-1]["error"] is None
