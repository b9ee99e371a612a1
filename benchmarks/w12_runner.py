"""W12, what the local runner costs a stage: `python -m benchmarks.w12_runner`.

Six stages that do nothing, one after the other. Ours runs them as container components on the host; bare starts the
same program six times and nothing else, so that the difference is the runner's own. The reference is KFP's
SubprocessRunner with six lightweight components, over six bare function calls. KFP's DockerRunner is left out: it needs
a container engine.
"""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
import contextlib
import io
import json
import logging
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import compare, main, repeat, row

NUM_STAGES, GOAL_MS = 6, 50.0
NO_OP = """#!/bin/sh
file=$(printf %s "$3" | sed 's/.*"outputFile": *"\\([^"]*\\)".*/\\1/')
mkdir -p "$(dirname "$file")"
printf '{}' >"$file"
"""


class Silent:
    """A watcher that is told everything and says nothing."""

    def start(self, label: str) -> None:
        """Nothing."""

    def line(self, label: str, text: str) -> None:
        """Nothing."""

    def end(self, step: Any) -> None:
        """Nothing."""

    def fail(self, label: str, message: str, again: bool) -> None:
        """Nothing."""


def compile_text(pipeline: Any) -> str:
    """The YAML of a pipeline."""
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(pipeline, str(path))
        return path.read_text()


def chain(component: Any) -> Any:
    """A pipeline of six tasks of a component, each after the one before."""
    from kfp import dsl

    @dsl.pipeline(name="six-no-ops")
    def six() -> None:
        before = None
        for _ in range(NUM_STAGES):
            task = component()
            before = task.after(before) if before else task

    return six


def ours(program: Path) -> Callable[[], Any]:
    """Six steps by our runner."""
    from kfp import dsl

    from olivine.platform import steps
    from olivine.platform.compiled_pipelines import parse_pipeline
    from olivine.platform.local import run_compiled

    @dsl.container_component
    def no_op() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="none", command=["no-op", "nothing"], args=["--executor-input", "{{$}}"])

    steps.PROGRAMS["no-op"] = (str(program),)
    pipeline = parse_pipeline("six_no_ops", compile_text(chain(no_op)))

    def call() -> None:
        assert len(run_compiled(pipeline, {}, watcher=Silent()).steps) == NUM_STAGES

    return call


def bare(program: Path, folder: Path) -> Callable[[], Any]:
    """The same program six times, as a shell would."""
    arguments = ["nothing", "--executor-input", json.dumps({"outputs": {"outputFile": str(folder / "out.json")}})]

    def call() -> None:
        for _ in range(NUM_STAGES):
            subprocess.run([str(program), *arguments], check=True)

    return call


def kfp_runner(folder: Path) -> Callable[[], Any]:
    """Six lightweight components by KFP's own runner of processes."""
    from kfp import dsl, local

    @dsl.component(install_kfp_package=False)
    def no_op() -> None:
        pass

    logging.disable()
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "kfp"))
    pipeline = chain(no_op)

    def call() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            pipeline()

    return call


def functions() -> Callable[[], Any]:
    """Six calls of a function that does nothing."""

    def nothing() -> None:
        pass

    def call() -> None:
        for _ in range(NUM_STAGES):
            nothing()

    return call


def measure(contender: str) -> dict[str, Any]:
    """One contender in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "no-op"
        program.write_text(NO_OP)
        program.chmod(0o755)
        calls: dict[str, Callable[[], Callable[[], Any]]] = {
            "ours": lambda: ours(program),
            "bare": lambda: bare(program, folder),
            "kfp SubprocessRunner": lambda: kfp_runner(folder),
            "functions": functions,
        }
        return repeat(calls[contender]())


def run() -> list[dict[str, Any]]:
    """What each runner adds to a stage."""
    found = compare("benchmarks.w12_runner", ("ours", "bare", "kfp SubprocessRunner", "functions"))
    found["kfp DockerRunner"] = {"left_out": "needs a container engine"}
    ours_ms = (found["ours"]["median_ms"] - found["bare"]["median_ms"]) / NUM_STAGES
    theirs, floor = found["kfp SubprocessRunner"].get("median_ms"), found["functions"]["median_ms"]
    reference = None if theirs is None else (theirs - floor) / NUM_STAGES
    line = row("W12", ours_ms, reference, 1, "ms a stage over bare", contenders=found, what="six no-op stages")
    return [line | {"goal": f"< {GOAL_MS:g}", "met": ours_ms < GOAL_MS, "reference": line["reference"] or 0.0}]


if __name__ == "__main__":
    main(__doc__, run, measure)
