"""`olivine pretrain --launch` as a user and a cluster call it: codes of the outermost process, kills, stops, two nodes.

Processes are real, with gloo between them. The code of the launcher is what Kubernetes sees.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from chain import Chain, worker_environment

from olivine.artifacts import find_artifact, open_artifact

WAIT_S = 250.0
STEPS = ["--set", "pretrain.epochs=3", "--set", "pretrain.checkpoint_every=1"]


def command(chain: Chain, *more: str) -> list[str]:
    ports = {"drives": "ingest", "weak-labels": "label", "density-weights": "weigh"}
    given = [f"--{port}={chain.made[word].id}" for port, word in ports.items()]
    return [
        sys.executable,
        "-m",
        "olivine",
        "pretrain",
        *given,
        "--store",
        chain.store.url,
        "--recipe",
        "tiny_cpu",
        *more,
    ]


class Job:
    """A launcher that runs: what it says, line by line, and the processes of its ranks."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log, name = log, f"job-{uuid.uuid4().hex}"
        self.mark = f"OLIVINE_TEST_JOB={name}"
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                arguments, stdout=subprocess.PIPE, stderr=errors, env=worker_environment() | {"OLIVINE_TEST_JOB": name}
            )

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + WAIT_S
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def rank(self, number: int) -> int:
        """Process id of a rank."""
        (pid,) = self.processes(f"RANK={number}")
        return pid

    def processes(self, *settings: str) -> list[int]:
        """Processes of this job with these settings in their environment; torchrun gives each a session of its own."""
        wanted = {word.encode() for word in (self.mark, *settings)}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                    found.append(int(folder.name))
        return found

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out.decode()


@pytest.fixture
def job(tmp_path):
    jobs = []

    def start(arguments: list[str]) -> Job:
        jobs.append(Job(arguments, tmp_path / f"job-{len(jobs)}.log"))
        return jobs[-1]

    yield start
    for one in jobs:
        for pid in one.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        one.process.wait()
        one.process.stdout.close()


def finished(job: Job) -> dict:
    code, out = job.end()
    assert code == 0, job.log.read_text()[-3000:]
    return json.loads(next(line for line in out.splitlines() if line.startswith("{")))


def test_a_mistake_keeps_its_code(job, own_chain):
    one = job(command(own_chain, "--launch", "--nproc", "2", "--set", "pretrain.batch_size=3"))
    code, _ = one.end()
    assert code == 64
    assert "olivine: batch_size 3 is not a multiple of 2 processes." in one.log.read_text()


@pytest.mark.timeout(900)
def test_killed_ranks_stopped_jobs_and_other_numbers_of_processes(job, own_chain):
    """kill -9 of either rank, SIGTERM, ZeRO, parts: each time the same command goes on, to the bits of an unbroken run."""
    two = [*STEPS, "--json", "--launch", "--nproc", "2"]
    unbroken = finished(job(command(own_chain, *two, "--set", "pretrain.method=unbroken")))
    killed = job(command(own_chain, *two))
    killed.wait_for('"done": 3,')
    os.kill(killed.rank(1), signal.SIGKILL)
    assert killed.end()[0] == 75
    stopped = job(command(own_chain, *two, "--zero", "2"))
    stopped.wait_for('"done": 7,')
    assert '"done": 1,' not in stopped.log.read_text(), "it began anew"
    os.kill(stopped.process.pid, signal.SIGTERM)
    assert stopped.end()[0] == 143
    assert "stopped by SIGTERM after step" in stopped.log.read_text()
    last = finished(job(command(own_chain, *two, "--zero", "1")))
    history = [
        json.loads(open_artifact(own_chain.store, "pretrain", one["id"]).read("history.json"))
        for one in (unbroken, last)
    ]
    assert history[0] == history[1]
    assert last["data_digest"] == unbroken["data_digest"]


@pytest.mark.timeout(600)
def test_a_rank_that_hangs_is_named(job, own_chain, record_property):
    """In less than two minutes; `OLIVINE_CHAOS=1` waits as long as a run does that was told nothing."""
    patience = [] if os.environ.get("OLIVINE_CHAOS") else ["--hang-s", "6"]
    hanging = job(command(own_chain, *STEPS, "--launch", "--nproc", "2", *patience))
    hanging.wait_for('"done": 2,')
    os.kill(hanging.rank(1), signal.SIGSTOP)
    start_s = time.monotonic()
    hanging.wait_for("rank 1 hangs in")
    named_s = time.monotonic() - start_s
    assert hanging.end()[0] == 75
    ended_s = time.monotonic() - start_s
    record_property("rank_named_after_s", round(named_s, 1))
    record_property("run_failed_after_s", round(ended_s, 1))
    # torchrun gives the process that stands still half a minute to end by itself.
    assert named_s < ended_s < 120


@pytest.mark.timeout(600)
def test_two_nodes_on_one_machine(job, own_chain, free_port):
    nodes = [
        job(
            command(
                own_chain,
                "--json",
                # Not the one that the chain has made: it would be found.
                "--set",
                "pretrain.seed=5",
                "--launch",
                "--nproc",
                "1",
                "--nnodes",
                "2",
                "--node-rank",
                str(rank),
                "--master",
                f"127.0.0.1:{free_port}",
            )
        )
        for rank in range(2)
    ]
    first = finished(nodes[0])
    assert nodes[1].end()[0] == 0, nodes[1].log.read_text()[-3000:]
    made = find_artifact(own_chain.store, "pretrain", first["id"], "backbone")
    assert made.manifest.counts == {"keyframes": 9, "steps": 4}
    (key,) = own_chain.store.list(f"records/runs/pretrain/{made.id}")
    record = json.loads(own_chain.store.read(key))
    assert (record["processes"], record["samples"]) == (2, 8)
    assert record["samples_per_s"] > 0
    assert 0 <= record["data_wait_share"] <= 1
