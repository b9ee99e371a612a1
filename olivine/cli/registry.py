"""Commands about what a store knows: the drives in it, the next training on them, and which model is promoted."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from olivine.cli.options import ExecutorOption, JsonOption, StoreOption

registry_app = typer.Typer(help="Raw drives in the store: register them, see which there are.", no_args_is_help=True)

ReasonOption = Annotated[str, typer.Option(help="Why, for those who read the history.")]


@registry_app.command("add")
def registry_add(
    drive: Annotated[str, typer.Argument(help="Name of the drive.")],
    folder: Annotated[Path, typer.Argument(help="Its data set, in nuScenes v1.0 layout.")],
    version: Annotated[str, typer.Option(help="Folder of the tables in it.")] = "v1.0-trainval",
    store: StoreOption = "./store",
) -> None:
    """Upload a drive: its files first, then _READY.json with their digests; a killed upload goes on."""
    from olivine.registry.ready import add_drive
    from olivine.store import open_store

    ready = add_drive(open_store(store), drive, folder, version)
    print(f"drive {drive}: {len(ready.files)} files, {sum(file.size_bytes for file in ready.files)} bytes")


@registry_app.command("list")
def registry_list(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """List the complete drives, whether the promoted model was trained on each, and why others are not taken."""
    from olivine.registry.catalogue import read_catalogue
    from olivine.registry.plan import read_marked
    from olivine.store import open_store

    opened = open_store(store)
    catalogue, marked = read_catalogue(opened), read_marked(opened)
    rows = [
        {
            "drive": name,
            "version": ready.version,
            "files": len(ready.files),
            "bytes": sum(file.size_bytes for file in ready.files),
            "trained": marked.get(name) == ready.digest,
        }
        for name, ready in catalogue.drives.items()
    ]
    if as_json:
        print(json.dumps({"drives": rows, "refused": catalogue.refused}))
        return
    for row in rows:
        state = "trained" if row["trained"] else "new"
        print(f"{row['drive']:32} {row['version']:14} {row['files']:7} files {row['bytes']:15} bytes  {state}")
    for name, reason in catalogue.refused.items():
        print(f"{name:32} refused: {reason}")
    print(f"{len(rows)} complete drives in {opened.url}")


def plan(
    version: Annotated[str, typer.Option(help="Folder of the tables in every drive.")] = "v1.0-trainval",
    recipe: Annotated[str, typer.Option(help="Name of the recipe to train by.")] = "olivine",
    min_new: Annotated[int, typer.Option(min=1, help="Fewer new drives are not worth a training.")] = 1,
    drive: Annotated[
        list[str] | None,
        typer.Option(help="Train on just these drives, new or not (backfill). May be repeated."),
    ] = None,
    warm_start: Annotated[bool, typer.Option(help="Pretrain from the promoted backbone, where there is one.")] = True,
    store: StoreOption = "./store",
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """Plan the next training on new drives, and claim it: two runs never train on one set."""
    from olivine.platform.executor import run_once
    from olivine.platform.retrain_steps import run_plan_executor
    from olivine.registry.plan import Request, make_plan
    from olivine.store import open_store

    if executor_input is not None:
        print(run_once("plan", executor_input, run_plan_executor).reason)
        return
    request = Request(version, recipe, min_new=min_new, only=tuple(drive or ()), warm_start=warm_start)
    made = make_plan(open_store(store), request, _by_hand(), datetime.now(UTC))
    if as_json:
        print(json.dumps({"plan": made.plan and made.plan.digest, "reason": made.reason, "new": made.new}))
        return
    for name, reason in made.refused.items():
        print(f"left out {name}: {reason}")
    print(made.reason + (f"\nplan {made.plan.digest}" if made.plan else ""))


def promote(
    segmenter: Annotated[str, typer.Argument(help="Id of the segmenter, or its first 6 or more characters.")],
    reason: ReasonOption,
    metrics: Annotated[str, typer.Option(help="Id of metrics of it, to be recorded with the promotion.")] = "",
    store: StoreOption = "./store",
) -> None:
    """Make a segmenter the promoted one, by a person's decision."""
    from olivine.artifacts import find_artifact
    from olivine.registry.promotion import promote as move
    from olivine.store import open_store

    opened = open_store(store)
    model = find_artifact(opened, "finetune", segmenter, "segmenter")
    scores = find_artifact(opened, "evaluate", metrics, "metrics") if metrics else None
    done = move(opened, model, scores, reason, _by_hand(), datetime.now(UTC))
    print(f"promoted: segmenter {done.segmenter.id}")


def rollback(reason: ReasonOption, store: StoreOption = "./store") -> None:
    """Bring back the segmenter that was promoted before; again: the one before that."""
    from olivine.registry.promotion import roll_back
    from olivine.store import open_store

    done = roll_back(open_store(store), reason, _by_hand(), datetime.now(UTC))
    print(f"promoted: segmenter {done.segmenter.id}")


@registry_app.command("history")
def registry_history(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """Show every promotion and rollback, the newest first."""
    from olivine.registry.promotion import read_history
    from olivine.store import open_store

    for item in read_history(open_store(store)):
        if as_json:
            print(json.dumps(item.model_dump(mode="json")))
        else:
            what = f"{item.action:8} segmenter {item.segmenter.id[:12]}"
            print(f"{item.at:%Y-%m-%d %H:%M} {what} by {item.run}: {item.reason}")


def _by_hand() -> str:
    return f"{os.environ.get('USER') or 'somebody'}-{uuid.uuid4().hex[:8]}"
