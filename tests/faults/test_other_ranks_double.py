"""F5 without rounding: in float64 a checkpoint of two processes goes on in one, two or four with the losses of one.

`OLIVINE_CHAOS=1` runs the full numbers: 50 steps after the checkpoint, on 1, 2 and 4.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from chain import worker_environment
from conversation import conversation
from training.test_training_processes import command

from olivine.artifacts import open_artifact
from olivine.store import open_store

FULL = bool(os.environ.get("OLIVINE_CHAOS"))
BOUND = 1e-9
# Two steps an epoch.
EPOCHS, FIRST, RANKS = (27, 4, (1, 2, 4)) if FULL else (4, 2, (1, 4))
SETTINGS = {
    "cross_rank": "batch",
    "batch_size": 4,
    "num_pairs": 64,
    "epochs": EPOCHS,
    "consistency.statistics_samples": 8,
    "checkpoint_every": 1000,
}


@pytest.fixture
def worker(free_port):
    environment = worker_environment() | {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    with conversation(Path(__file__).with_name("double_worker.py"), environment) as talk:

        def ask(arguments, ranks, stop_after=None):
            return talk({"arguments": arguments, "ranks": ranks, "port": free_port, "stop_after": stop_after})

        yield ask


def run(ask, chain, url, ranks, stop_after=None):
    """History of a run in `url` on so many processes; None for one that is stopped after a step."""
    settings = [f"--set=pretrain.{name}={value}" for name, value in SETTINGS.items()]
    arguments = [*command(chain, "--json", *settings, "--store", url)[3:]]
    answer = ask(arguments, ranks, stop_after)
    assert answer["returncodes"] == [143 if stop_after else 0] * ranks, answer["stderr"][-3000:]
    if stop_after:
        return None
    made = json.loads(next(line for line in answer["stdout"].splitlines() if line.startswith("{")))
    return json.loads(open_artifact(open_store(url), "pretrain", made["id"]).read("history.json"))


@pytest.mark.timeout(3600 if FULL else 600)
def test_losses_of_one_process(own_chain, tmp_path, worker):
    folder = Path(own_chain.store.url.removeprefix("file://"))
    whole = run(worker, own_chain, str(shutil.copytree(folder, tmp_path / "whole")), 1)
    assert len(whole) == 2 * EPOCHS
    run(worker, own_chain, str(folder), 2, stop_after=FIRST)
    for ranks in RANKS:
        found = run(worker, own_chain, str(shutil.copytree(folder, tmp_path / f"on-{ranks}")), ranks)
        assert [entry["step"] for entry in found] == [entry["step"] for entry in whole]
        worst = max(abs(one["loss"] - other["loss"]) for one, other in zip(found, whole, strict=True))
        print(json.dumps({"ranks": ranks, "steps": len(found), "greatest_difference": worst}))
        assert worst < BOUND
    assert whole[-1]["loss"] != whole[FIRST]["loss"]
