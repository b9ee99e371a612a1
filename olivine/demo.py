"""`olivine demo`: synthetic drives, the whole compiled pipeline, a table, a page and a summary. Nothing is real but it.

The drives are synthetic and the weak labels simulated, and every page says so; pipeline, training, store and scores
are those that real drives get.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from olivine.artifacts import Artifact, find_artifact
from olivine.errors import DataError
from olivine.evaluate.official import OfficialScore, score_officially
from olivine.models.image.weights import cached_path
from olivine.platform.local import run_pipeline
from olivine.progress import Progress
from olivine.report.setting import setting_lines
from olivine.report.summary import summarise
from olivine.report.table import print_table
from olivine.store import Store, open_store
from olivine.synth import SynthRecipe, write_drives

VERSION = "v1.0-mini"
_OFFICIAL_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Scale:
    """How much data, and the recipe that fits it."""

    recipe: str
    drives: SynthRecipe


SCALES = {
    "full": Scale(
        "demo",
        SynthRecipe(
            version=VERSION,
            num_train_scenes=96,
            num_select_scenes=6,
            num_test_scenes=12,
            train_keyframes_per_scene=2,
            select_keyframes_per_scene=2,
            test_keyframes_per_scene=2,
            image_width=448,
            image_height=252,
            num_columns=360,
        ),
    ),
    "tiny": Scale(
        "tiny_cpu",
        SynthRecipe(
            version=VERSION,
            num_select_scenes=1,
            train_keyframes_per_scene=1,
            select_keyframes_per_scene=1,
            test_keyframes_per_scene=1,
            image_width=192,
            image_height=108,
            num_columns=180,
        ),
    ),
}


def run_demo(num_seeds: int, out: Path, scale: Scale) -> dict[str, Any]:
    """Run the demo into the folder `out`; return the summary, which is also written to `out/summary.json`.

    Raises:
        OlivineError: whatever a step reports. DataError: our score is not that of the official evaluator.
    """
    console = Console()
    started = time.monotonic()
    root, store_folder = out / "drives", out / "store"
    with Progress("synth", _num_keyframes(scale.drives), "keyframes") as progress:
        write_drives(root, scale.drives, lambda done, total: progress.advance(done - progress.done))
    parameters = {
        "drives": str(root.resolve()),
        "store": str(store_folder.resolve()),
        "version": VERSION,
        "recipe": scale.recipe,
        "settings": encoder_settings(scale.recipe),
        "seeds": list(range(num_seeds)),
        "title": "Demo: synthetic drives, simulated weak labels",
    }
    result = run_pipeline("full", parameters, out)
    store = open_store(str(store_folder))
    metrics = [find_artifact(store, "evaluate", step.id) for step in result.of_stage("evaluate") if step.id]
    summary = summarise(store, metrics)
    official = check_officially(store, metrics[0], root)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print_table(summary, console, setting_lines(store, metrics))
    console.print(
        f"Official evaluator ({official.eval_set}, {official.num_sweeps} sweeps): mIoU {official.official_miou:.6f}, "
        f"ours {official.our_miou:.6f}."
    )
    console.print(f"Report: {out / 'report.html'}   Summary: {out / 'summary.json'}", soft_wrap=True)
    console.print(f"{time.monotonic() - started:.0f} s in all.")
    return summary


def check_officially(store: Store, metrics: Artifact, root: Path) -> OfficialScore:
    """Score one arm by the official evaluator too; DataError when it disagrees with us."""
    drives = find_artifact(store, "ingest", metrics.manifest.inputs["drives"].id)
    score = score_officially(drives, metrics, root, VERSION)
    if abs(score.official_miou - score.our_miou) > _OFFICIAL_TOLERANCE:
        raise DataError(f"our mIoU {score.our_miou} is not that of the official evaluator, {score.official_miou}.")
    return score


def encoder_settings(recipe: str) -> list[str]:
    """Fall back to the stand-in encoder, which every page then names, where the real weights are not in the cache."""
    if recipe == "tiny_cpu" or cached_path().exists():
        return []
    return ["pretrain.encoder.name=stand_in"]


def _num_keyframes(recipe: SynthRecipe) -> int:
    return (
        recipe.num_train_scenes * recipe.train_keyframes_per_scene
        + recipe.num_select_scenes * recipe.select_keyframes_per_scene
        + recipe.num_test_scenes * recipe.test_keyframes_per_scene
    )
