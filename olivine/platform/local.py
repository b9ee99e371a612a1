"""Run a compiled pipeline on this machine, each step a process or a container: the same YAML that a cluster takes."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from olivine.errors import Interrupted, OlivineError
from olivine.platform.compiled_pipelines import CompiledPipeline, check_parameters, load_pipeline
from olivine.platform.containers import absolute_folders, prepare_containers
from olivine.platform.display import Display
from olivine.platform.kfp_local import run_orchestrator
from olivine.platform.processes import ProcessGroups
from olivine.platform.result import RunResult
from olivine.platform.steps import Launch, Steps, Watcher, launch_process

STEP_TIMEOUT_S = 86_400.0


def run_pipeline(
    name: str,
    parameters: dict[str, Any],
    workdir: Path | None = None,
    watcher: Watcher | None = None,
    timeout_s: float = STEP_TIMEOUT_S,
    image: str | None = None,
) -> RunResult:
    """Run the pipeline `name` with `parameters`; return what its steps made and cost.

    A step that fails ends the run with the step's own message and exit code. SIGTERM and SIGINT end the steps and the
    run; a runner that is killed takes its steps with it. Artifacts are in the store, so a second run goes on.

    Args:
        name: a pipeline that the package carries.
        parameters: values for its inputs; those with a default may be left out.
        workdir: folder for the pages a run makes (`report.html`); None keeps none. Nothing else is left there.
        watcher: who is told how it goes; by default a list of steps on standard output.
        timeout_s: time [s] that one step may take.
        image: an image of this machine, in which Podman or Docker then runs every step; None runs processes.

    Raises:
        UsageError: no such pipeline or parameter. ConfigError: the extra `pipeline` is missing, or what
            containers need.
        Interrupted: a signal ended the run. OlivineError: a step failed.
    """
    return run_compiled(load_pipeline(name), parameters, workdir, watcher, timeout_s, image)


def run_compiled(
    pipeline: CompiledPipeline,
    parameters: dict[str, Any],
    workdir: Path | None = None,
    watcher: Watcher | None = None,
    timeout_s: float = STEP_TIMEOUT_S,
    image: str | None = None,
) -> RunResult:
    """Run a compiled pipeline, see `run_pipeline`."""
    values = check_parameters(pipeline, parameters)
    launch: Launch = launch_process
    clean_up: list[str] = []
    with contextlib.ExitStack() as stack:
        watching = stack.enter_context(contextlib.nullcontext(watcher) if watcher else Display())
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="olivine-run-")))
        if image is not None:
            values = absolute_folders(values)
            containers = prepare_containers(image, values, root)
            launch, clean_up = containers.launch, containers.clean_up()
        groups = stack.enter_context(ProcessGroups(root, clean_up=clean_up))
        signals = stack.enter_context(_stopped_by_signals(groups))
        steps = Steps(groups, watching, timeout_s, pipeline.retries, launch)
        try:
            run_orchestrator(pipeline.text, values, root, steps.run)
        except OlivineError as error:
            failure = _interrupted(signals[0]) if signals else steps.failure or error
            steps.close_failed(failure)
            raise failure from None
        return RunResult(steps.results, _keep(steps.pages, workdir))


def _keep(pages: dict[str, bytes], workdir: Path | None) -> dict[str, Path]:
    if workdir is None:
        return {}
    workdir.mkdir(parents=True, exist_ok=True)
    files = {name: workdir / f"{name}.html" for name in pages}
    for name, path in files.items():
        path.write_bytes(pages[name])
    return files


def _interrupted(number: int) -> Interrupted:
    error = Interrupted(
        f"stopped by {signal.Signals(number).name}; run it again: finished steps are found, the others go on."
    )
    error.exit_code = 128 + number
    return error


@contextlib.contextmanager
def _stopped_by_signals(groups: ProcessGroups) -> Iterator[list[int]]:
    """SIGTERM and SIGINT stop the steps, a second one at once; yields the signals that came."""
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        groups.stop()

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
