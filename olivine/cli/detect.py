"""Commands of detection: KITTI's object benchmark in, a detector, its predictions and their AP out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olivine.cli.options import JsonOption, StoreOption, id_option
from olivine.cli.stage import print_artifact

if TYPE_CHECKING:
    from olivine.artifacts import Artifact
    from olivine.store import Store

detect_app = typer.Typer(help="3D detection on KITTI: what a pretrained VoxelNet is worth.", no_args_is_help=True)

RecipeOption = Annotated[str, typer.Option(help="Recipe of detection: second, or tiny_cpu to see that it runs.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change one field of the recipe: step.field=value. May be repeated."),
]
FramesOption = Annotated[str, id_option("frames")]
DetectorOption = Annotated[str, id_option("detector")]


@detect_app.command()
def ingest(
    kitti: Annotated[Path, typer.Option(help="Folder that holds ImageSets and training.")],
    store: StoreOption = "./store",
    recipe: RecipeOption = "second",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the labelled frames of KITTI's object benchmark, and pack what the camera sees of each."""
    from olivine.detect.frames import pack_frames
    from olivine.recipes.detection import load_detect_recipe
    from olivine.store import open_store

    print_artifact(pack_frames(kitti, open_store(store), load_detect_recipe(recipe, set_).ingest), as_json)


@detect_app.command()
def finetune(
    frames: FramesOption,
    backbone: Annotated[str, typer.Option(help="Id of a VoxelNet to start from; none: start from random.")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "second",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a SECOND detector, from a pretrained VoxelNet or from random."""
    from olivine.recipes.detection import load_detect_recipe

    chosen = load_detect_recipe(recipe, set_).finetune
    opened, given = _open_frames(store, frames)
    start = _find(opened, "pretrain", backbone, "backbone") if backbone else None
    from olivine.detect.finetune import run
    from olivine.steps import refuse_withdrawn

    refuse_withdrawn(opened, {"drives": given} | ({"start": start} if start else {}))
    print_artifact(run(given, start, chosen), as_json)


@detect_app.command()
def predict(
    frames: FramesOption,
    detector: DetectorOption,
    out: Annotated[Path, typer.Option(help="Folder of 000123.txt to write; it may not be there yet.")],
    store: StoreOption = "./store",
    recipe: RecipeOption = "second",
    set_: SetOption = None,
) -> None:
    """Write what a detector finds, in KITTI's own files, which `olivine score kitti-object` takes."""
    from olivine.recipes.detection import load_detect_recipe

    chosen = load_detect_recipe(recipe, set_).evaluate
    opened, given = _open_frames(store, frames)
    model = _find(opened, "finetune", detector, "detector")
    from olivine.detect.results import write_results

    print(f"{write_results(given, model, chosen, out)} frames: {out}")


@detect_app.command()
def evaluate(
    frames: FramesOption,
    detector: DetectorOption,
    store: StoreOption = "./store",
    recipe: RecipeOption = "second",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a detector by KITTI's measure and keep its predictions."""
    from olivine.recipes.detection import load_detect_recipe

    chosen = load_detect_recipe(recipe, set_).evaluate
    opened, given = _open_frames(store, frames)
    model = _find(opened, "finetune", detector, "detector")
    from olivine.detect.evaluate import run

    print_artifact(run(given, model, chosen), as_json)


@detect_app.command()
def table(
    metrics: Annotated[
        list[str] | None,
        typer.Option(help="Id of metrics, as `olivine detect evaluate` printed it; once for each seed."),
    ] = None,
    store: StoreOption = "./store",
    as_json: JsonOption = False,
) -> None:
    """Put the AP of several seeds together: mean, deviation, and the best, which the paper reports."""
    from olivine.detect.seeds import summarize_seeds, summary_lines
    from olivine.store import open_store

    opened = open_store(store)
    summary = summarize_seeds([_find(opened, "evaluate", id, "detection_metrics") for id in metrics or []])
    print(json.dumps(summary) if as_json else "\n".join(summary_lines(summary)))


def _open_frames(store: str, frames: str) -> tuple[Store, Artifact]:
    """The store, and frames that are not withdrawn."""
    from olivine.steps import refuse_withdrawn
    from olivine.store import open_store

    opened = open_store(store)
    given = _find(opened, "ingest", frames, "frames")
    refuse_withdrawn(opened, {"drives": given})
    return opened, given


def _find(store: Store, stage: str, name: str, kind: str) -> Artifact:
    from olivine.artifacts import find_artifact

    return find_artifact(store, stage, name, kind)
