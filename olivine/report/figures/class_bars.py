"""IoU of every class, arm by arm (paper, tables 10 and 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.report.arms import ScoredRun, compare_arms
from olivine.report.colours import Swatch
from olivine.report.figures.charts import Bar, arm_colour, bar_chart
from olivine.report.figures.figure import Figure, Panel, Table, described, origins
from olivine.report.figures.runs import open_runs
from olivine.report.table import percent
from olivine.report.trace import behind, frozen_of
from olivine.store import Store

_MARKS = {1: " (best)", 2: " (second)", None: ""}


def draw_class_bars(store: Store, metrics: Sequence[Artifact]) -> Figure:
    """Bars of all classes and arms, means over seeds, and the table behind them.

    Raises:
        UsageError: metrics of other drives or another split, or a seed twice in an arm.
    """
    runs = open_runs(store, metrics)
    scored = [
        ScoredRun(run.arm, run.seed, run.metrics.manifest.summary["miou"], run.metrics.manifest.summary["per_category"])
        for run in runs.values()
    ]
    fractions = {str(run.metrics.manifest.summary["fraction"]) for run in runs.values()}
    trained = {frozen_of(run.metrics) for run in runs.values()}
    if len(trained) > 1:
        raise UsageError(f"metrics of different parts of the network ({', '.join(sorted(trained))}): choose one.")
    if len(fractions) > 1:
        raise UsageError(f"metrics of different label fractions ({', '.join(sorted(fractions))}): choose one.")
    comparison = compare_arms(scored)
    arms, first = comparison["arms"], next(iter(runs.values())).metrics
    rows = []
    for name, cells in comparison["rows"].items():
        bars = [
            Bar(_hundredfold(cells[arm]["mean"]), arm_colour(place), percent(cells[arm]["mean"]), f"{name}, {arm}")
            for place, arm in enumerate(arms)
        ]
        rows.append((name, bars))
    seeds = "; ".join(f"{arm}: {', '.join(map(str, seeds))}" for arm, seeds in comparison["seeds"].items())
    return Figure(
        name="class-bars",
        title="IoU of every class",
        caption=f"Means over fine-tuning seeds on the split {first.manifest.summary['split']}, fine-tuned on "
        f"{fractions.pop()} of the labels. A dash: the class neither occurs nor is predicted.",
        panels=[Panel("IoU by class", bar_chart("IoU of every class, arm by arm", rows, "IoU [%]"))],
        legend=[Swatch(arm, _rgb(arm_colour(place))) for place, arm in enumerate(arms)],
        facts=[
            *origins(behind(store, [run.metrics for run in runs.values()])),
            f"Seeds: {seeds}.",
            *(f"{name}: {described(run.metrics)}." for name, run in runs.items()),
        ],
        tables=[
            Table(
                "IoU [%], mean over seeds",
                ("class", *arms),
                [
                    (name, *(percent(cells[arm]["mean"]) + _mark(cells, arm) for arm in arms))
                    for name, cells in comparison["rows"].items()
                ],
            )
        ],
        columns=1,
    )


def _mark(cells: dict[str, Any], arm: str) -> str:
    """Best and second best, where arms differ."""
    differ = len({cell["mean"] for cell in cells.values()}) > 1
    return _MARKS[cells[arm]["place"]] if differ else ""


def _hundredfold(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
