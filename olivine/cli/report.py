"""Commands that set results side by side: metrics in a page, runs with all that differs, arms in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from olivine.cli.options import ExecutorOption, JsonOption, MetricsOption, StoreOption


def report(
    metrics: MetricsOption = None,
    store: StoreOption = "./store",
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Random start and pretrained backbone",
    executor_input: ExecutorOption = None,
) -> None:
    """Compare metrics: a table here, and one self-contained HTML page."""
    from olivine.platform.executor import run_once
    from olivine.report.command import run_report, run_report_executor

    if executor_input is not None:
        run_once("report", executor_input, run_report_executor)
        return
    print(run_report(store, metrics or [], out, title))


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Two or more ids of backbones, segmenters, metrics or others; the first is the baseline. "
            "NAME=ID,ID,... names an arm, and joins its seeds and label fractions."
        ),
    ] = None,
    store: StoreOption = "./store",
    out: Annotated[Path | None, typer.Option(help="Page to write too.")] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Runs compared",
    all_: Annotated[bool, typer.Option("--all", help="Tell what is equal too.")] = False,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """What differs between runs in data, recipe, code, environment and cost, and their results in pairs of seeds."""
    from olivine.lineage.compare_command import run_compare, run_compare_executor
    from olivine.platform.executor import run_once

    if executor_input is not None:
        run_once("compare", executor_input, run_compare_executor)
        return
    run_compare(store, runs or [], out, title, all_, as_json)


def table(
    metrics: MetricsOption = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(help="ARM:SEED=FILE with what `olivine score ... --json` printed. May be repeated."),
    ] = None,
    baseline: Annotated[str, typer.Option(help="Arm that the others are compared with, seed by seed.")] = "",
    out: Annotated[
        list[Path] | None,
        typer.Option(help="File to write: .md, .tex, .csv or .json. May be repeated."),
    ] = None,
    store: StoreOption = "./store",
) -> None:
    """Compare arms class by class: mean, deviation, best and second best, paired differences."""
    from olivine.report.arms_command import run_table

    print(run_table(store, metrics or [], scores or [], baseline, out or []), end="")
