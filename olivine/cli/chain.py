"""The stages whose commands take little besides their inputs: `ingest`, `weigh`, `finetune` and `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from olivine.cli.options import (
    DrivesOption,
    ExecutorOption,
    JsonOption,
    RecipeOption,
    SetOption,
    StoreOption,
    id_option,
)
from olivine.cli.stage import run_stage
from olivine.errors import UsageError


def ingest(
    drives: Annotated[
        str,
        typer.Option(help="Folder of the raw drives, in nuScenes v1.0 layout or as ingest.dataset says; or plan:ID."),
    ] = "",
    version: Annotated[str, typer.Option(help="Folder of the tables in it, as v1.0-mini; default: the recipe's.")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """The stage `ingest`."""
    settings = [*([f"ingest.version={json.dumps(version)}"] if version else []), *(set_ or [])]
    run_stage("ingest", executor_input, as_json, store=store, recipe=recipe, settings=settings, ids={}, source=drives)


def weigh(
    drives: DrivesOption = "",
    weak_labels: Annotated[str, id_option("weak_labels to use")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """The stage `weigh`."""
    ids = {"drives": drives, "weak_labels": weak_labels}
    run_stage("weigh", executor_input, as_json, store=store, recipe=recipe, settings=set_, ids=ids)


def finetune(
    drives: DrivesOption = "",
    backbone: Annotated[str, typer.Option(help="Id of the backbone to start from; none: start from random.")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """The stage `finetune`."""
    ids = {"drives": drives, "backbone": backbone}
    run_stage("finetune", executor_input, as_json, store=store, recipe=recipe, settings=set_, ids=ids)


def evaluate(
    drives: DrivesOption = "",
    segmenter: Annotated[str, id_option("segmenter to use")] = "",
    official: Annotated[
        Path | None,
        typer.Option(help="Folder of the raw drives: score by the nuScenes devkit's own evaluator too."),
    ] = None,
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """The stage `evaluate`."""
    if official and not official.is_dir():
        # Said before the split is predicted, which may take an hour.
        raise UsageError(f"--official {official} is no folder: give the raw drives with their hand labels.")
    ids = {"drives": drives, "segmenter": segmenter}
    artifact = run_stage("evaluate", executor_input, as_json, store=store, recipe=recipe, settings=set_, ids=ids)
    if official:
        from olivine.evaluate.official import score_artifact

        print(score_artifact(artifact, official))
