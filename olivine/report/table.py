"""The summary as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from olivine.report.summary import SEEDS_FOR_A_CLAIM, paired_differences, pretrained_arm
from olivine.report.trace import RANDOM

CLAIMS_NOTHING = f"Fewer than {SEEDS_FOR_A_CLAIM} paired seeds: this shows a difference and claims nothing."


def print_table(summary: dict[str, Any], console: Console, notes: Sequence[str] = ()) -> None:
    """Print mIoU and IoU of each arm, the paired gain and what stands behind them.

    Args:
        summary: what `olivine.report.summary.summarise` returned.
        console: where to print.
        notes: facts to print below, as `olivine.report.setting.setting_lines` finds them; without them the kind and
            accuracy of the weak labels are printed, from the summary.
    """
    console.print(_miou_table(summary))
    console.print(_category_table(summary["arms"]))
    for line in (*gain_lines(summary), *(notes or _label_lines(summary["labels"]))):
        console.print(line, markup=False, highlight=False)


def percent(share: float | None) -> str:
    """A share 0..1 as percent, a dash where there is none."""
    return "-" if share is None else f"{100 * share:.2f}"


def points(difference: float | None) -> str:
    """A difference of shares as signed percentage points, a dash where there is none."""
    return "-" if difference is None else f"{100 * difference:+.2f}"


def gain_lines(summary: dict[str, Any]) -> list[str]:
    """The paired gain in a sentence, and what it does not show; empty with one arm."""
    gain, num_seeds = summary["paired_gain"], len(paired_differences(summary["arms"]))
    if gain["mean"] is None:
        return []
    seeds = f"{num_seeds} paired seed{'s' if num_seeds > 1 else ''}"
    what = f"Paired gain {pretrained_arm(summary['arms'])} - random: {points(gain['mean'])} points of mIoU"
    if gain["interval"] is None:
        line = f"{what} ({seeds}: no interval)."
    else:
        low, high = gain["interval"]
        line = f"{what}, 95 % interval {points(low)} to {points(high)} (Student t, {seeds})."
    return [line] if num_seeds >= SEEDS_FOR_A_CLAIM else [line, CLAIMS_NOTHING]


def difference(ours: float | None, baseline: float | None) -> float | None:
    """`ours - baseline`, None where one is missing."""
    return None if ours is None or baseline is None else ours - baseline


def _miou_table(summary: dict[str, Any]) -> Table:
    table = Table(title="mIoU [%]", title_justify="left")
    table.add_column("fine-tuned from")
    for heading in ("mean", *(f"seed {seed}" for seed in summary["seeds"])):
        table.add_column(heading, justify="right")
    for name, arm in summary["arms"].items():
        table.add_row(name, percent(arm["miou"]), *map(percent, arm["miou_by_seed"]))
    return table


def _category_table(arms: dict[str, Any]) -> Table:
    table = Table(title="IoU [%], mean over seeds", title_justify="left")
    table.add_column("class")
    for name in arms:
        table.add_column(name, justify="right")
    paired = pretrained_arm(arms)
    if paired:
        table.add_column("difference", justify="right")
    for category in next(iter(arms.values()))["per_category"]:
        cells = [percent(arm["per_category"][category]) for arm in arms.values()]
        if paired:
            values = (arms[name]["per_category"][category] for name in (paired, RANDOM))
            cells.append(points(difference(*values)))
        table.add_row(category, *cells)
    return table


def _label_lines(labels: dict[str, Any]) -> list[str]:
    if labels["kind"] is None:
        return []
    kind = "SIMULATED" if labels["kind"] == "simulated" else labels["kind"]
    return [f"Weak labels: {kind}; accuracy {percent(labels['accuracy'])} %, coverage {percent(labels['coverage'])} %."]
