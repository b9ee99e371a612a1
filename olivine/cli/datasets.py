"""`olivine datasets`: labelled data sets in the style of SemanticKITTI."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from olivine.cli.options import JsonOption
from olivine.errors import DataError

datasets_app = typer.Typer(help="Labelled data sets in the style of SemanticKITTI.", no_args_is_help=True)


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
