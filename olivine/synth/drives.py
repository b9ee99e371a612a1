"""Writes a whole synthetic data set: scenes in parallel, then the tables, then one rename that makes it exist.

from olivine.synth import SynthRecipe, write_drives
write_drives(Path("drives"), SynthRecipe(seed=1))
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from olivine.errors import UsageError
from olivine.synth.recipe import SPLITS, ScenePlan, SynthRecipe, plan_scenes
from olivine.synth.records import TABLE_NAMES, Tables, common_tables
from olivine.synth.scene_writer import SceneResult, write_scene

MARKER: Final = "synth.json"
Progress = Callable[[int, int], None]


def write_drives(
    root: Path, recipe: SynthRecipe, progress: Progress | None = None, *, num_workers: int | None = None
) -> None:
    """Writes the data set of `recipe` to the folder `root`, or returns at once if it is already there.

    `progress(done, total)` counts keyframes. `num_workers` processes (default: one a processor) share the scenes; the
    bytes do not depend on their number. Everything is written to a hidden folder beside `root` and renamed when whole,
    so a killed run leaves nothing that looks like a data set.

    Raises:
        UsageError: `root` holds something else than this data set.
        DiskFullError: no room for a file; nothing is left behind.
    """
    write_whole_set(root, recipe, plan_scenes(recipe), write_scene, _write_tables, progress, num_workers)


class _SetRecipe(Protocol):
    """What any recipe of a data set can do."""

    def digest(self) -> str: ...

    def model_dump(self) -> dict[str, Any]: ...


_R = TypeVar("_R", bound=_SetRecipe)
_Write = Callable[[Path, _R, ScenePlan], SceneResult]


def write_whole_set(
    root: Path,
    recipe: _R,
    plans: list[ScenePlan],
    write: _Write[_R],
    write_rest: Callable[[Path, _R, list[ScenePlan], list[SceneResult]], bytes],
    progress: Progress | None,
    num_workers: int | None,
) -> None:
    """Write the data set of `recipe`: each scene of `plans` by `write` in processes, then the rest, then its name.

    `write_rest` writes what is not of one scene and returns the bytes of it. Errors are those of `write_drives`.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 - links are left as they are
    if _is_finished(root, recipe):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(root)
    with _partial_folder(root) as partial:
        results = _write_scenes(partial, recipe, plans, write, progress, num_workers or os.cpu_count() or 1)
        digest = hashlib.sha256(write_rest(partial, recipe, plans, results))
        for result in results:
            digest.update(result.digest.encode())
        marker = {"recipe": recipe.model_dump(), "recipe_digest": recipe.digest(), "data_digest": digest.hexdigest()}
        (partial / MARKER).write_text(json.dumps(marker, indent=2) + "\n")
        _publish(partial, root, recipe)


def _is_finished(root: Path, recipe: _SetRecipe) -> bool:
    """Whether `root` is the data set of this recipe; false if there is nothing; an error if there is anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    marker = root / MARKER
    found = json.loads(marker.read_text()) if marker.is_file() else {}
    if found.get("recipe_digest") == recipe.digest():
        return True
    what = "the data set of another recipe" if found else "something that is not a synthetic data set"
    raise UsageError(f"{root} holds {what}; give another folder, or remove this one first")


def _write_scenes(
    partial: Path, recipe: _R, plans: list[ScenePlan], write: _Write[_R], progress: Progress | None, num_workers: int
) -> list[SceneResult]:
    total = sum(plan.num_keyframes for plan in plans)
    results: dict[int, SceneResult] = {}
    for index, result in _finished_scenes(partial, recipe, plans, write, min(num_workers, len(plans))):
        results[index] = result
        if progress:
            progress(sum(plans[i].num_keyframes for i in results), total)
    return [results[plan.index] for plan in plans]


def _finished_scenes(
    partial: Path, recipe: _R, plans: list[ScenePlan], write: _Write[_R], num_workers: int
) -> Iterator[tuple[int, SceneResult]]:
    """Scene results in order of completion."""
    if num_workers == 1:
        for plan in plans:
            yield plan.index, write(partial, recipe, plan)
        return
    # Spawned, not forked: the caller may have threads or a GPU context.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, context, _die_with_parent) as pool:
        # Long scenes first, so that no worker is left alone with one at the end.
        longest_first = sorted(plans, key=lambda plan: -plan.num_keyframes)
        futures = {pool.submit(write, partial, recipe, plan): plan.index for plan in longest_first}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _die_with_parent() -> None:
    """Ends this worker when its parent is gone, even by SIGKILL: an orphan would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_tables(partial: Path, recipe: SynthRecipe, plans: list[ScenePlan], results: list[SceneResult]) -> bytes:
    tables: Tables = {name: [] for name in TABLE_NAMES} | common_tables()
    for result in results:
        for name, rows in result.tables.items():
            tables[name] += rows
    folder = partial / recipe.version
    folder.mkdir()
    written = b""
    splits = {split: [plan.name for plan in plans if plan.split == split] for split in SPLITS}
    for name, content in [*tables.items(), ("splits", splits)]:
        encoded = json.dumps(content, indent=0).encode()
        (folder / f"{name}.json").write_bytes(encoded)
        written += encoded
    return written


def _publish(partial: Path, root: Path, recipe: _SetRecipe) -> None:
    """Gives the whole data set its name. If another process was faster with the same recipe, its result stands."""
    try:
        partial.rename(root)
    except OSError:
        if not _is_finished(root, recipe):
            raise


def _prefix(root: Path) -> str:
    return f".{root.name}.partial-"


@contextmanager
def _partial_folder(root: Path) -> Iterator[Path]:
    """A hidden folder beside `root`, locked while this process lives and removed unless it was renamed."""
    partial = Path(tempfile.mkdtemp(prefix=_prefix(root), dir=root.parent))
    lock = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        partial.chmod(0o755)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _remove_abandoned(root: Path) -> None:
    """Removes partial folders of runs that died: their lock, which the kernel gives back, is free."""
    for partial in root.parent.glob(f"{_prefix(root)}*"):
        lock = os.open(partial, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(partial, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
