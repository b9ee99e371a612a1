"""The pipeline step `pretrain`: in its own process, or, when nodes are asked for, as the supervisor of a TrainJob."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from olivine.artifacts import Artifact, sha256_hex
from olivine.errors import ClusterError, UsageError
from olivine.kfp_io import ExecutorInput
from olivine.platform.trainjob.cluster import Cluster, connect
from olivine.platform.trainjob.spec import Size, build_trainjob
from olivine.platform.trainjob.supervisor import Supervisor
from olivine.steps import StepCall, find_step, run_executor
from olivine.store import Store, open_store
from olivine.training.execution import Execution

RUN_VARIABLE = "OLIVINE_RUN"
"""Environment variable with the id of the pipeline's run, which the pod has from its label."""


def run_pretrain_executor(executor_input: str, execution: Execution | None = None) -> Artifact:
    """Run the step as its parameters ask: `num_nodes` 0 or left out trains here, more of them as a TrainJob.

    `execution` is how a training here is carried out.

    Raises:
        OlivineError: whatever the stage or the TrainJob reports.
    """
    parameters = ExecutorInput.parse(executor_input).parameters
    if not parameters.get("num_nodes"):
        return run_executor("pretrain", executor_input, execution)

    def supervise(word: str, call: StepCall) -> Artifact:
        image = str(parameters.get("image") or "")
        if not image:
            raise UsageError("step pretrain: the parameter 'image' is missing: the image of the nodes, by digest.")
        cluster = connect(str(parameters.get("namespace") or ""))
        return train_on_nodes(cluster, call, _read_size(parameters), image, os.environ.get(RUN_VARIABLE) or "by-hand")

    return run_executor("pretrain", executor_input, run=supervise)


def train_on_nodes(cluster: Cluster, call: StepCall, size: Size, image: str, run: str, poll_s: float = 5.0) -> Artifact:
    """Pretrain on the nodes of a cluster, or find what is finished; return the backbone.

    Args:
        cluster: where the TrainJob runs.
        call: what to pretrain on and how.
        size: on how many nodes.
        image: image of the nodes.
        run: id of the pipeline's run.
        poll_s: time [s] between two looks at the job.

    Raises:
        ClusterError: the job failed, or ended well without the backbone that was asked for.
    """
    finished = find_step("pretrain", call)
    if finished:
        return finished
    store = open_store(call.store)
    trainjob = build_trainjob(run, launch_command(call), image, size, datetime.now(UTC))
    with _stopped_by_sigterm() as stop:
        supervisor = Supervisor(cluster, lambda page: keep_page(store, run, page), _say, stop, poll_s)
        supervisor.run(trainjob)
    name = trainjob["metadata"]["name"]
    made = find_step("pretrain", call)
    if made is None:
        raise ClusterError(
            f"TrainJob {name} is complete, but the backbone is not in {store.url}. Is {image} of the same release as "
            "this step? The identity of an artifact includes its code."
        )
    cluster.delete(name)
    return made


def launch_command(call: StepCall) -> list[str]:
    """What each node runs: the command that a person would type, which starts torchrun and maps its exit codes."""
    command = ["olivine", "pretrain", "--launch", "--store", call.store, "--recipe", call.recipe]
    for port, id in call.inputs.items():
        # The port `start` may be empty.
        command += [f"--{port.replace('_', '-')}", id] if id else []
    for setting in call.settings:
        command += ["--set", setting]
    return command


def keep_page(store: Store, run: str, page: str) -> str:
    """Keep the page of a failure in the store, since the outputs of a step that fails are lost; return its place."""
    data = page.encode()
    key = f"{failures_folder(run)}/{sha256_hex(data)[:16]}.html"
    store.create(key, data)
    return f"{store.url}/{key}"


def failures_folder(run: str) -> str:
    """Where the failures of a run are: pages of its TrainJobs, and records of its steps."""
    return f"records/failures/{sha256_hex(run.encode())[:16]}"


def _say(line: str) -> None:
    print(line, flush=True)


def _read_size(parameters: dict[str, Any]) -> Size:
    def number(name: str) -> int:
        value = parameters.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
            raise UsageError(f"step pretrain: {name} is {value!r}, but must be a whole number.")
        return int(value)

    selector = parameters.get("node_selector") or {}
    if not isinstance(selector, dict):
        raise UsageError('step pretrain: node_selector must be labels and values, as in {"gpu": "h100"}.')
    cpu, memory = str(parameters.get("cpu_per_node") or "8"), str(parameters.get("memory_per_node") or "32Gi")
    return Size(number("num_nodes"), number("gpus_per_node"), cpu, memory, selector)


@contextmanager
def _stopped_by_sigterm() -> Iterator[threading.Event]:
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
