"""F1 and F2: SIGKILL while checkpoints are written. The newest finished one always loads, and none is half there."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from chain import worker_environment


def kill(folder: Path, contender: str, ranks: int, tries: int) -> dict[str, int]:
    worker = Path(__file__).with_name("checkpoint_kill_worker.py")
    command = [sys.executable, str(worker), str(folder), contender, str(ranks), str(tries)]
    # What a killed process leaves among the temporary files goes with the rest.
    given = worker_environment() | {"TMPDIR": str(folder.parent)}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True, env=given)
    report: dict[str, int] = json.loads(answer.stdout.splitlines()[-1])
    print(report)
    return report


@pytest.mark.parametrize(("ranks", "tries"), [(1, 50), (4, 10)], ids=["F1", "F2"])
def test_the_newest_finished_checkpoint_loads(tmp_path, ranks, tries):
    report = kill(tmp_path / "store", "ours", ranks, tries)
    assert (report["survived"], report["half_written"], report["lost"]) == (tries, 0, 0)
    assert report["saved"] >= tries // 5, "the kills came before anything was saved"


# What becomes of others is figures for docs/reliability.md, not a matter of this test.
@pytest.mark.parametrize(
    ("contender", "ranks", "tries"),
    [
        ("torch_save", 1, 10),
        ("torch_save", 4, 3),
        ("deepspeed", 1, 3),
        ("deepspeed", 4, 2),
        ("lightning", 1, 3),
        ("lightning", 4, 2),
    ],
)
def test_the_same_is_done_to_others(tmp_path, contender, ranks, tries):
    if contender == "lightning" and not find_spec("pytorch_lightning"):
        pytest.skip("pytorch-lightning is among the packages of the benchmarks (scripts/setup.sh bench)")
    report = kill(tmp_path / "checkpoints", contender, ranks, tries)
    assert report["tries"] == tries == report["survived"] + report["half_written"] + report["lost"]
