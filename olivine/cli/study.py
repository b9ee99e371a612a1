"""Recipes, and studies that compare them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from olivine.cli.options import JsonOption
from olivine.errors import UsageError

study_app = typer.Typer(help="Studies: many recipes, seeds and label fractions, compared.", no_args_is_help=True)


def recipes(as_json: JsonOption = False) -> None:
    """List the recipes, one line each."""
    from olivine.recipes import RECIPES, describe_recipes, load_recipe

    if as_json:
        print(json.dumps({name: load_recipe(name).resolved() for name in RECIPES}))
        return
    lines = describe_recipes()
    width = max(map(len, lines))
    for name, line in lines.items():
        print(f"{name:{width}} {line}")


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
