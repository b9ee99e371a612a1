"""`olivine study miniature`: the paper's comparisons on synthetic drives, resumable cell by cell.

olivine study miniature --quick      # ten minutes; shows that it runs and claims nothing
olivine study miniature              # at most 90 minutes on two cores
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from olivine.artifacts import find_artifact
from olivine.progress import Progress
from olivine.store import Store, open_store
from olivine.study.miniature import CORE, FULL, QUICK, Size, plan_cells
from olivine.study.page import write_page
from olivine.study.results import judge_orders, summarise_arms
from olivine.study.runner import Place, run_tasks
from olivine.study.tasks import Cell, Task, all_tasks, evaluation
from olivine.synth import write_drives
from olivine.synth.recipe import SynthRecipe

SIZES = {"core": CORE, "full": FULL, "quick": QUICK}
DRIVES = {
    "miniature": SynthRecipe(
        num_train_scenes=100,
        num_select_scenes=8,
        num_test_scenes=16,
        train_keyframes_per_scene=2,
        select_keyframes_per_scene=2,
        test_keyframes_per_scene=2,
        image_width=448,
        image_height=252,
        num_columns=270,
    ),
    "tiny_cpu": SynthRecipe(
        num_train_scenes=12,
        num_select_scenes=1,
        train_keyframes_per_scene=2,
        select_keyframes_per_scene=1,
        test_keyframes_per_scene=1,
        image_width=192,
        image_height=108,
        num_columns=180,
    ),
}
SECONDS_PER_TASK = {
    "miniature": {"ingest": 4, "label": 15, "weigh": 2, "pretrain": 100, "finetune": 32, "evaluate": 2},
    "tiny_cpu": {"ingest": 1, "label": 1, "weigh": 1, "pretrain": 4, "finetune": 2, "evaluate": 1},
}
"""What a task of each stage took on one core, for the estimate before the start."""


def run_miniature(size_name: str, out: Path) -> dict[str, Any]:
    """Run a study into the folder `out`; return its summary, which is written there as JSON, Markdown and a page.

    Raises:
        OlivineError: a task failed.
    """
    size, started = SIZES[size_name], time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    root, recipe = out / "drives", DRIVES[size.scale]
    with Progress("synth", sum(_scene_counts(recipe)), "keyframes") as progress:
        write_drives(root, recipe, lambda done, total: progress.advance(done - progress.done))
    cells = plan_cells(size)
    tasks = all_tasks([evaluation(cell, size.scale) for cell in cells])
    processes = len(os.sched_getaffinity(0))
    print(f"{len(cells)} cells, {len(tasks)} steps, about {estimate_minutes(tasks, size, processes):.0f} min on "
          f"{processes} cores where nothing is there yet.", flush=True)  # fmt: skip
    place = Place(str((out / "store").resolve()), str(root.resolve()), out.resolve())
    seconds: dict[str, float] = {}
    with Progress(f"study {size_name}", len(tasks), "steps") as progress:

        def note(task: Task, took_s: float) -> None:
            seconds[task.word] = seconds.get(task.word, 0.0) + took_s
            progress.advance()

        ids = run_tasks(tasks, place, processes, note)
    store = open_store(place.store)
    summary = summarise(store, cells, ids, size_name, size) | {
        "wall_s": time.monotonic() - started,
        "cpu_s": seconds,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    write_page(summary, out)
    return summary


def estimate_minutes(tasks: list[Task], size: Size, processes: int) -> float:
    """About how long a study takes from nothing."""
    return sum(SECONDS_PER_TASK[size.scale][task.word] for task in tasks) / processes / 60


def summarise(store: Store, cells: list[Cell], ids: dict[Task, str], size_name: str, size: Size) -> dict[str, Any]:
    """The study as JSON: arms, orders, and the facts that every number needs beside it."""
    tasks = {cell: evaluation(cell, size.scale) for cell in cells}
    metrics = {cell: find_artifact(store, "evaluate", ids[task]) for cell, task in tasks.items()}
    scores = {cell: float(found.manifest.summary["miou"]) for cell, found in metrics.items()}
    arms = {cell.arm.name: cell.arm for cell in cells}
    return {
        "size": size_name,
        "claims": size_name != "quick",
        "scale": size.scale,
        "simulated": "Synthetic drives and simulated weak labels: nothing here was measured on real data.",
        "arms": summarise_arms(arms, scores),
        "orders": judge_orders(scores),
        **_facts(store, ids, tasks[cells[0]]),
        "metrics": {f"{c.arm.name} {c.regime.name} {c.pretrain_seed} {c.seed}": a.id for c, a in metrics.items()},
    }


def _facts(store: Store, ids: dict[Task, str], first: Task) -> dict[str, Any]:
    """Quality of the weak labels by setting, the encoder, the curve of the random arm, and the label fraction."""
    labels, curves, encoder = {}, {}, None
    for task, id in ids.items():
        if task.word == "label":
            summary = find_artifact(store, "label", id).manifest.summary
            drives = dict(task.inputs)["drives"]
            labels[" ".join([task.recipe, *drives.settings, *task.settings])] = {
                name: summary.get(name) for name in ("kind", "accuracy", "coverage")
            }
        if task.word == "pretrain":
            encoder = encoder or find_artifact(store, "pretrain", id).manifest.summary["encoder"] or None
        if task.word == "finetune" and "backbone" not in dict(task.inputs):
            history = json.loads(find_artifact(store, "finetune", id).read("history.json"))
            curves[" ".join(task.settings)] = history["select_miou"]
    return {"labels": labels, "encoder": encoder, "random_curves": curves}


def _scene_counts(recipe: SynthRecipe) -> list[int]:
    return [
        recipe.num_train_scenes * recipe.train_keyframes_per_scene,
        recipe.num_select_scenes * recipe.select_keyframes_per_scene,
        recipe.num_test_scenes * recipe.test_keyframes_per_scene,
    ]
