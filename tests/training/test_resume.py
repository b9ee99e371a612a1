"""Killed and stopped in the middle, and run again: the bytes of the unbroken run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chain import PORTS, worker_environment
from conversation import conversation

from olivine.artifacts import find_artifact
from olivine.store import open_store

# Four optimiser steps each, a checkpoint after every one.
EVERY = {"pretrain": "pretrain.checkpoint_every=1", "finetune": "finetune.checkpoint_every=1"}
TAKES = {"pretrain": ("ingest", "label", "weigh"), "finetune": ("ingest", "pretrain")}


@pytest.fixture(scope="module")
def worker():
    with conversation(Path(__file__).with_name("stage_worker.py"), worker_environment()) as talk:

        def ask(arguments, work=None, after=None, kill=None):
            return talk({"arguments": arguments, "work": work, "after": after, "signal": kill})

        yield ask


def arguments(chain, word, *more):
    ports = [f"--{PORTS[made].replace('_', '-')}={chain.made[made].id}" for made in TAKES[word]]
    return [word, *ports, "--store", chain.store.url, "--recipe", "tiny_cpu", "--set", EVERY[word], *more]


@pytest.fixture
def unbroken(own_chain, tmp_path):
    """Digest of the unbroken run. The interval of checkpoints is part of the recipe and not of the result."""
    return lambda word: own_chain.made[word].manifest.data_digest


def finish(ask, chain, word, *more):
    answer = ask([*arguments(chain, word, *more), "--json"])
    assert answer["returncode"] == 0, answer["stderr"]
    return json.loads(answer["stdout"]), answer["stderr"]


@pytest.mark.parametrize("word", ["pretrain", "finetune"])
def test_killed_at_any_step(worker, own_chain, unbroken, word):
    for after in (1, 2, 3):
        answer = worker(arguments(own_chain, word), word, after, signal.SIGKILL)
        assert answer["returncode"] == -signal.SIGKILL
    # The kill came before the third step's checkpoint. Who goes on from the second never counts it again.
    answer = worker([*arguments(own_chain, word), "--json"], word, 2, signal.SIGKILL)
    assert answer["returncode"] == 0, answer["stderr"]
    assert json.loads(answer["stdout"])["data_digest"] == unbroken(word)


@pytest.mark.parametrize(("word", "after"), [("pretrain", 2), ("finetune", 2), ("finetune", 4)])
def test_stopped_by_sigterm(worker, own_chain, unbroken, word, after, record_property):
    setting = f"{word}.checkpoint_every=1000"
    answer = worker(arguments(own_chain, word, "--set", setting), word, after, signal.SIGTERM)
    assert answer["returncode"] == 143
    message = f"olivine: {word}: stopped by SIGTERM after step {after}; run it again to go on from there."
    assert answer["stderr"].splitlines()[-1] == message
    store = open_store(own_chain.store.url)
    refs = {json.loads(store.read(key))["step"]: key for key in store.list("refs/runs")}
    asked_s = float(next(line for line in answer["stderr"].splitlines() if line.startswith("signal at ")).split()[-1])
    committed_s = store.modified(refs[after]).timestamp() - asked_s
    record_property("checkpoint_after_sigterm_s", round(committed_s, 3))
    assert committed_s < 20
    resumed, _ = finish(worker, own_chain, word, "--set", setting)
    assert resumed["data_digest"] == unbroken(word)
    assert resumed["counts"]["steps"] == 4
    again, progress = finish(worker, own_chain, word, "--set", setting)
    assert (again["id"], progress) == (resumed["id"], "")


def test_killed_while_it_encodes_images(worker, own_chain, unbroken):
    """No features yet, other ones: at another size."""
    more = ["--set", "pretrain.encoder.width=192"]
    answer = worker(arguments(own_chain, "pretrain", *more), "pretrain: encode images", 5, signal.SIGKILL)
    assert answer["returncode"] == -signal.SIGKILL
    found, _ = finish(worker, own_chain, "pretrain", *more)
    assert found["data_digest"] != unbroken("pretrain")


def test_two_processes_publish_once(own_chain, tmp_path):
    """`torchrun` with gloo: two ranks, one backbone, the same keyframes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "olivine"]
    setting = ["--set", "pretrain.epochs=2"]
    answer = subprocess.run(
        [*command, *arguments(own_chain, "pretrain", *setting), "--json"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        # Two processes also where there is one GPU.
        env=worker_environment() | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    found = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    assert len(found) == 1, "the first process alone prints the result"
    assert found[0]["counts"] == {"keyframes": 9, "steps": 8}
    made = find_artifact(own_chain.store, "pretrain", found[0]["id"], "backbone")
    records = list(own_chain.store.list(f"records/runs/pretrain/{made.id}"))
    assert len(records) == 1
    history = json.loads(made.read("history.json"))
    assert [entry["step"] for entry in history] == list(range(8))
