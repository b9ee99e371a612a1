"""SIGKILL while an artifact is written to a directory: afterwards there is none, or a whole one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TRIES = 50


def test_killed_before_every_file_operation_and_at_random_instants(tmp_path: Path) -> None:
    worker = Path(__file__).with_name("store_kill_worker.py")
    command = [sys.executable, str(worker), str(tmp_path), str(TRIES)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    report = json.loads(answer.stdout)
    print(report)
    assert report["problems"] == []
    assert report["operations"] >= 50
    assert report["killed"] >= 1
