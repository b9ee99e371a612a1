"""Run the tasks of a study, as many at once as there are processors, each on one thread."""

from __future__ import annotations

import concurrent.futures as futures
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from olivine.errors import OlivineError
from olivine.study.tasks import Task

_LOG = "study.log"
_PARENT_CHECK_S = 1.0


@dataclass(frozen=True)
class Place:
    """Where a study runs: its store, the raw drives, and a folder for the log."""

    store: str
    drives: str
    folder: Path


def run_tasks(
    tasks: Sequence[Task], place: Place, num_processes: int, on_done: Callable[[Task, float], None]
) -> dict[Task, str]:
    """The id of the artifact of each task; `on_done` is told of each with the seconds it took.

    What an earlier run has made is found. The first failure ends the study: tasks in flight finish, none begins.

    Args:
        tasks: every task after those it needs, see `all_tasks`.
        place: where.
        num_processes: tasks at once.
        on_done: called in this process.

    Raises:
        OlivineError: a task failed; the message names it.
    """
    ids: dict[Task, str] = {}
    waiting = list(tasks)
    with futures.ProcessPoolExecutor(
        num_processes, multiprocessing.get_context("spawn"), _prepare, (str(place.folder / _LOG),)
    ) as pool:
        running: dict[futures.Future[tuple[str, float]], Task] = {}
        try:
            while waiting or running:
                for task in _ready(waiting, ids, num_processes - len(running)):
                    waiting.remove(task)
                    inputs = {port: ids[needed] for port, needed in task.inputs}
                    running[pool.submit(_execute, task.word, task.recipe, task.settings, inputs, place)] = task
                done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                for future in done:
                    task = running.pop(future)
                    ids[task], seconds = _result(future, task, place)
                    on_done(task, seconds)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return ids


def _ready(waiting: Sequence[Task], ids: dict[Task, str], places: int) -> list[Task]:
    ready = [task for task in waiting if all(needed in ids for _, needed in task.inputs)]
    return ready[:places]


def _result(future: futures.Future[tuple[str, float]], task: Task, place: Place) -> tuple[str, float]:
    try:
        return future.result()
    except OlivineError as error:
        error.args = (f"study: {_name(task)}: {error}",)
        raise
    except futures.process.BrokenProcessPool as error:
        raise OlivineError(
            f"study: {_name(task)}: the process was killed, perhaps for memory (log: {place.folder / _LOG}). Run the "
            "study again: what is done is found."
        ) from error


def _name(task: Task) -> str:
    return " ".join([task.word, task.recipe, *task.settings])


def _prepare(log: str) -> None:
    """In each worker, before anything is imported there: one thread, and a log instead of the terminal."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)


def _follow(parent: int) -> None:
    """End with the study: a worker holds both ends of its queue, and would wait for a killed parent for ever."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


def _execute(
    word: str, recipe: str, settings: tuple[str, ...], inputs: dict[str, str], place: Place
) -> tuple[str, float]:
    from olivine.steps import StepCall, run_step

    started = time.monotonic()
    artifact = run_step(word, StepCall(place.store, recipe, list(settings), inputs, place.drives))
    return artifact.id, time.monotonic() - started
