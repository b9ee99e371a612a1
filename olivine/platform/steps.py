"""The steps of one run on this machine: how each is started, when it is tried again, and what it made."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import olivine
from olivine.artifacts import Manifest
from olivine.errors import (
    ConfigError,
    DataError,
    DiskFullError,
    Interrupted,
    OlivineError,
    StoreError,
    UsageError,
)
from olivine.kfp_io import ExecutorInput
from olivine.platform.close_step import end_run
from olivine.platform.processes import Ended, ProcessGroups
from olivine.platform.result import StepResult, read_costs, step_label
from olivine.platform.turns import Turns
from olivine.stages import BY_WORD
from olivine.store import open_store

PROGRAMS = {"olivine": (sys.executable, "-P", "-m", "olivine")}
"""What stands on this machine for the first word of a component's command."""

RETRY_WAIT_S = 1.0
_KILLED = 128 + 9
# A step that was killed (by the system, for memory) or whose store or disk failed; never what a user must mend first.
_WORTH_A_RETRY = frozenset({StoreError.exit_code, DiskFullError.exit_code, _KILLED})
CLOSING_STEP = "close"
_ERRORS = {
    kind.exit_code: kind for kind in (UsageError, DataError, ConfigError, StoreError, DiskFullError, Interrupted)
}
_SHARING_STAGES = frozenset({"finetune", "evaluate"})
# Steps that share the machine run two at a time, however many a loop has in flight: more would only wait for memory.
_SHARES = 2
# A labelling takes the whole machine, its GPU too: groups of it follow one another.
_GROUP_STEP = "share"


Launch = Callable[[Sequence[str]], tuple[list[str], dict[str, str]]]


class Watcher(Protocol):
    """Who is told how a run goes. Called from several threads at once."""

    def start(self, label: str) -> None:
        """A step begins."""

    def line(self, label: str, text: str) -> None:
        """A step wrote a line."""

    def end(self, step: StepResult) -> None:
        """A step ended well."""

    def fail(self, label: str, message: str, again: bool) -> None:
        """A step failed, for good or to be tried again."""


@dataclass
class Steps:
    """Runs steps for an orchestrator, which calls `run` with the command of each, from several threads.

    Args:
        groups: what runs the processes.
        watcher: who is told.
        timeout_s: time [s] that one step may take.
        retries: how often a stage is tried again after a fault of the infrastructure.
        launch: gives the command line and the environment that run a component's command.
    """

    groups: ProcessGroups
    watcher: Watcher
    timeout_s: float
    retries: Mapping[str, int]
    launch: Launch
    results: list[StepResult] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)
    failure: OlivineError | None = None
    _arms: dict[str, tuple[str | None, int | None]] = field(default_factory=dict)
    _claimed: tuple[str, str] | None = None
    _shares: Turns = field(default_factory=lambda: Turns(_SHARES))
    _groups_turn: Turns = field(default_factory=lambda: Turns(1))

    def run(self, command: Sequence[str]) -> None:
        """Run one step to its end.

        Raises:
            OlivineError: it failed; the message is the step's own and `exit_code` is what the step returned. The
                first failure of a run stays in `failure` and stops the other steps.
        """
        if command[1] == CLOSING_STEP:
            self._close(command)
            return
        with self._place(command[1]):
            if self.failure:
                # The run failed while this step waited for its turn.
                raise self.failure
            self._run(command)

    def _place(self, stage: str) -> AbstractContextManager[None]:
        """Where the step waits until the machine has room for it."""
        if stage == _GROUP_STEP:
            return self._groups_turn
        return self._shares if stage in _SHARING_STAGES else contextlib.nullcontext()

    def _close(self, command: Sequence[str]) -> None:
        """Run the last step of a run: not one of its results, and not stopped by a failure of the others."""
        full, environment = self.launch(command)
        ended = subprocess.run(full, env=environment, capture_output=True, text=True, errors="replace", check=False)
        if ended.returncode:
            self.watcher.line(CLOSING_STEP, ended.stderr.strip())

    def close_failed(self, failure: OlivineError) -> None:
        """Close a run that failed: kfp's local orchestrator leaves its last step out when a step raises."""
        if self._claimed:
            store_url, run = self._claimed
            with contextlib.suppress(OlivineError):
                end_run(open_store(store_url, retry_s=10.0), run, "FAILED", str(failure))

    def _run(self, command: Sequence[str]) -> None:
        stage, call = command[1], ExecutorInput.parse(command[command.index("--executor-input") + 1])
        if "run" in call.parameters:
            self._claimed = (str(call.parameters["store"]), str(call.parameters["run"]))
        init, seed = self._arm(stage, call.parameters)
        group = str(call.parameters.get("group", ""))
        label = step_label(stage, init, seed, group)
        started, start_s = datetime.now(UTC), time.monotonic()
        self.watcher.start(label)
        try:
            ended = self._run_with_retries(label, command)
            # The client of a container may end with 0 when it is told to stop.
            if ended.exit_code or ended.timed_out:
                raise _as_error(label, ended, self.timeout_s)
            manifest, facts = self._collect(label, stage, call, started)
        except OlivineError as error:
            raise self._fail(label, error) from None
        if manifest:
            self._arms[manifest.id] = (init, seed)
        wall_s = time.monotonic() - start_s
        step = StepResult(stage, init, seed, ended.exit_code, wall_s, manifest, group=group, **facts)
        self.results.append(step)
        self.watcher.end(step)

    def _run_with_retries(self, label: str, command: Sequence[str]) -> Ended:
        tries_left = self.retries.get(command[1], 0)
        while True:
            ended = self._run_once(label, command)
            worth_it = ended.exit_code in _WORTH_A_RETRY and not ended.timed_out and not self.groups.stopping
            if not tries_left or not worth_it:
                return ended
            tries_left -= 1
            self.watcher.fail(label, _message(ended), again=True)
            time.sleep(RETRY_WAIT_S)

    def _run_once(self, label: str, command: Sequence[str]) -> Ended:
        full, environment = self.launch(command)
        try:
            return self.groups.run(full, environment, lambda text: self.watcher.line(label, text), self.timeout_s)
        except OSError as error:
            raise ConfigError(f"{label}: {full[0]} cannot be started: {error.strerror}.") from error

    def _collect(
        self, label: str, stage: str, call: ExecutorInput, started: datetime
    ) -> tuple[Manifest | None, dict[str, Any]]:
        """The manifest that a step wrote and its costs; the page, where it makes one of those."""
        if not call.output_file.is_file():
            raise OlivineError(f"{label}: ended well but wrote no executor output. Is it the olivine of this pipeline?")
        if stage not in BY_WORD:
            self.pages |= {name: path.read_bytes() for name, path in call.output_paths().items() if path.is_file()}
            return None, {}
        manifest = Manifest.from_json(call.output_path(BY_WORD[stage].makes).read_bytes(), f"output of {stage}")
        return manifest, read_costs(str(call.parameters["store"]), manifest, started)

    def _arm(self, stage: str, parameters: Mapping[str, Any]) -> tuple[str | None, int | None]:
        """Initialisation and seed: the step's own, or those of the segmenter that it is given."""
        if "seed" in parameters:
            return _start(parameters), int(parameters["seed"])
        return self._arms.get(str(parameters.get("segmenter_id")), (None, None))

    def _fail(self, label: str, error: OlivineError) -> OlivineError:
        # Steps that are stopped because another one failed, or because the run was, have no failure of their own.
        if self.failure is None and not self.groups.stopping:
            self.failure = error
            self.watcher.fail(label, str(error), again=False)
            self.groups.stop()
        return error


def _start(parameters: Mapping[str, Any]) -> str | None:
    """`random` or `backbone`; where a pipeline goes through label fractions, recipe and fraction instead."""
    init: str | None = parameters.get("init")
    every_nth = int(parameters.get("every_nth") or 0)
    if not every_nth:
        return init
    return f"{init if init == 'random' else parameters['recipe']}, 1/{every_nth}"


def launch_process(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment that run a component's command as a process of this machine."""
    return [*PROGRAMS.get(command[0], (command[0],)), *command[1:]], step_environment(command[1])


def step_environment(stage: str) -> dict[str, str]:
    """The environment of a step: ours (secrets too come from there), this olivine, and a share of the processors."""
    package_parent = str(Path(olivine.__file__).resolve().parents[1])
    others = os.environ.get("PYTHONPATH", "")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (package_parent, others))),
        "PYTHONUNBUFFERED": "1",
    }
    if stage in _SHARING_STAGES:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // _SHARES)))
    return environment


def _as_error(label: str, ended: Ended, timeout_s: float) -> OlivineError:
    """The error that a failed step stands for, with its message and exit code."""
    if ended.timed_out:
        return Interrupted(
            f"{label}: not done after {timeout_s:.0f} s and stopped. Allow it more time (--timeout-s); what it "
            "finished is kept."
        )
    error = _ERRORS.get(ended.exit_code, OlivineError)(f"{label}: {_message(ended)}")
    error.exit_code = ended.exit_code
    return error


def _message(ended: Ended) -> str:
    """What the step said last: the message of its error, or its last lines where it has none."""
    if ended.exit_code == _KILLED:
        return "killed by SIGKILL, which is what the system does when memory runs out."
    starts = [number for number, line in enumerate(ended.last_lines) if line.startswith("olivine: ")]
    if starts:
        return "\n".join(ended.last_lines[starts[-1] :]).removeprefix("olivine: ")
    lines = [line for line in ended.last_lines if line.strip()]
    # Of a traceback, which has passed by already, the last line says what happened.
    last = "\n".join(lines[-1:] if any(line.startswith("Traceback (") for line in lines) else lines[-5:])
    return f"exit code {ended.exit_code}" + (f": {last}" if last else ", without a word.")
