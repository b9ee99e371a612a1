"""Commands of researchers: recipes, studies, weights from and to other programs, other data sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from olivine.cli_options import JsonOption, StoreOption
from olivine.errors import DataError, UsageError

study_app = typer.Typer(help="Studies: many recipes, seeds and label fractions, compared.", no_args_is_help=True)
weights_app = typer.Typer(help="Network weights from and to other programs.", no_args_is_help=True)
datasets_app = typer.Typer(help="Labelled data sets in the style of SemanticKITTI.", no_args_is_help=True)

LayoutOption = Annotated[str, typer.Option(help="Whose layout: `olivine weights layouts` lists them.")]
NetworkOption = Annotated[
    str, typer.Option("--recipe", help="Recipe whose network it is, where the file does not say.")
]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", "-s", help="With --recipe: finetune.network.field=value. May be repeated."),
]


@study_app.callback()
def _study() -> None:
    """A callback keeps the name of the only study a word of its own."""


@study_app.command()
def miniature(
    quick: Annotated[
        bool, typer.Option("--quick", help="About ten minutes: shows that it runs, claims nothing.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="All methods at 10 % and 100 % too; hours.")] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for drives, store, summary.json, summary.md and report.html.")
    ] = Path("build/miniature"),
) -> None:
    """The paper's tables on synthetic drives: all methods, ablations and controls. Resumable cell by cell."""
    from olivine.study.command import run_miniature

    if quick and full:
        raise UsageError("--quick or --full: choose one.")
    size = "quick" if quick else "full" if full else "core"
    summary = run_miniature(size, out / "quick" if quick else out)
    folder = out / "quick" if quick else out
    print(f"{summary['wall_s'] / 60:.1f} min. Page: {folder / 'report.html'}   Summary: {folder / 'summary.json'}")


def recipes(as_json: JsonOption = False) -> None:
    """List the recipes, one line each."""
    from olivine.recipes import RECIPES, describe_recipes, load_recipe

    if as_json:
        print(json.dumps({name: load_recipe(name).resolved() for name in RECIPES}))
        return
    for name, line in describe_recipes().items():
        print(f"{name:16} {line}")


@weights_app.command("import")
def weights_import(
    source: Annotated[Path, typer.Argument(help="A checkpoint (.pt, .pth, .ckpt, .safetensors) or a folder.")],
    layout: LayoutOption,
    licence: Annotated[str, typer.Option(help="Licence of the data it was trained on: nuScenes is non-commercial.")],
    store: StoreOption = "./store",
    recipe: NetworkOption = "",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a backbone in the store from weights of another program. Nothing in the file is run."""
    from olivine.exchange.command import run_import

    run_import(store, source, layout, licence, recipe, set_, as_json)


@weights_app.command("export")
def weights_export(
    backbone: Annotated[str, typer.Option(help="Id of the backbone, or its first 6 or more characters.")],
    layout: LayoutOption,
    out: Annotated[Path, typer.Option(help="File or folder to write; it may not be there yet.")],
    store: StoreOption = "./store",
) -> None:
    """Write a backbone as another program reads it."""
    from olivine.exchange.command import run_export

    run_export(store, backbone, layout, out)


@weights_app.command("inspect")
def weights_inspect(
    source: Annotated[Path, typer.Argument(help="A checkpoint or a folder.")],
    recipe: NetworkOption = "",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is in a file of weights, and which layouts it fits."""
    from olivine.exchange.command import run_inspect

    run_inspect(source, recipe, set_, as_json)


@weights_app.command("layouts")
def weights_layouts() -> None:
    """List the layouts, one line each."""
    from olivine.exchange.command import layout_lines

    print("\n".join(layout_lines()))


@datasets_app.command("list")
def datasets_list() -> None:
    """List the data sets that have a table, one line each."""
    from olivine.datasets.check import table_lines

    print("\n".join(table_lines()))


@datasets_app.command("check")
def datasets_check(
    name: Annotated[str, typer.Argument(help="Name of a data set, or the path of a table (JSON).")],
    root: Annotated[Path, typer.Option(help="Folder of the data set.")],
    split: Annotated[str, typer.Option(help="Split to read.")] = "val",
    as_json: JsonOption = False,
) -> None:
    """Read every scan of a split: points by class, unknown ids, wrong lengths, and what to know about the split."""
    from olivine.datasets import load_table
    from olivine.datasets.check import check_split

    found = check_split(load_table(name), root, split)
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        for class_name, points in found.points_by_class.items():
            print(f"{class_name:16} {points:14}")
        driven = "" if found.driven_m is None else f", {found.driven_m / 1000:.1f} km driven"
        print(f"{'intensity up to':16} {found.greatest_intensity:14g}")
        print(f"{found.scans} scans{driven}, {len(found.problems)} problem{'' if len(found.problems) == 1 else 's'}")
    for line in [*([f"note on {split}: {found.trap}"] if found.trap else []), *found.problems]:
        print(line, file=sys.stderr)
    if found.problems:
        raise typer.Exit(DataError.exit_code)
