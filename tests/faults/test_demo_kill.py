"""The demo survives kill -9: run again, it ends in the same arms, seeds, labels and artifacts as an unbroken run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Into writing the drives, into the first stages, into training.
KILL_AFTER_S = (3.0, 12.0, 25.0)


def demo(out: Path, errors: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "olivine", "demo", "--scale", "tiny", "--seeds", "1", "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)


def finish(out: Path) -> dict:
    process = demo(out, subprocess.PIPE)
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors.decode()[-2000:]
    summary = json.loads((out / "summary.json").read_text())
    return {name: summary[name] for name in ("arms", "seeds", "labels", "artifacts")}


@pytest.mark.timeout(600)
def test_killed_demo_ends_as_the_unbroken_one(tmp_path):
    unbroken = finish(tmp_path / "unbroken")
    for seconds in KILL_AFTER_S:
        process = demo(tmp_path / "killed")
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert finish(tmp_path / "killed") == unbroken
