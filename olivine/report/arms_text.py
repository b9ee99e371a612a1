"""A comparison of arms as JSON, CSV, Markdown and LaTeX; numbers in percent but for JSON and CSV, which keep shares."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

from olivine.report.arms import MEAN
from olivine.report.summary import SEEDS_FOR_A_CLAIM
from olivine.report.table import CLAIMS_NOTHING, percent, points

_CSV_COLUMNS = (
    *("class", "arm", "mean", "std", "num_seeds", "place"),
    *("difference", "difference_std", "low", "high", "paired_seeds"),
)


def as_json(comparison: dict[str, Any]) -> str:
    """The comparison as it is."""
    return json.dumps(comparison, indent=1, allow_nan=False) + "\n"


def as_csv(comparison: dict[str, Any]) -> str:
    """A line for each class and arm, shares 0..1, empty where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for name, row in comparison["rows"].items():
        for arm, cell in row.items():
            difference = cell["difference"] or {"mean": None, "std": None, "interval": None, "seeds": []}
            low, high = difference["interval"] or (None, None)
            values = [name, arm, cell["mean"], cell["std"], len(cell["by_seed"]), cell["place"]]
            values += [difference["mean"], difference["std"], low, high, len(difference["seeds"]) or None]
            writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def as_markdown(comparison: dict[str, Any]) -> str:
    """Classes down, arms across: mean ± std, **best**, _second best_, and the paired difference to the baseline."""
    heading, rows = _rows(comparison, _mark_markdown, "±")
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (heading, *rows)]
    rule = ["---", *["---:"] * (len(heading) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (escaped[0], rule, *escaped[1:])]
    return "\n".join([*lines, "", *_notes(comparison), ""])


def as_latex(comparison: dict[str, Any]) -> str:
    r"""A tabular for booktabs: \textbf for the best, \underline for the second best; notes stand in comments."""
    heading, rows = _rows(comparison, _mark_latex, r"$\pm$")
    lines = [*(f"% {note}" for note in _notes(comparison)), rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}"]
    lines += [r"\toprule", f"{' & '.join(map(_latex_text, heading))} \\\\", r"\midrule"]
    for number, row in enumerate(rows):
        lines.append(f"{' & '.join([_latex_text(row[0]), *row[1:]])} \\\\")
        if number == 0 and len(rows) > 1:
            lines.append(r"\midrule")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


WRITERS: dict[str, Callable[[dict[str, Any]], str]] = {
    ".json": as_json,
    ".csv": as_csv,
    ".md": as_markdown,
    ".tex": as_latex,
}
"""By the suffix of a file."""


def _rows(
    comparison: dict[str, Any], mark: Callable[[str, int | None], str], plus_minus: str
) -> tuple[list[str], list[list[str]]]:
    baseline = comparison["baseline"]
    compared = [arm for arm in comparison["arms"] if baseline is not None and arm != baseline]
    heading = ["IoU [%]", *comparison["arms"], *(f"{arm} - {baseline}" for arm in compared)]
    rows = []
    for name, row in comparison["rows"].items():
        cells = [mark(_number(row[arm], plus_minus), row[arm]["place"]) for arm in comparison["arms"]]
        differences = [points((row[arm]["difference"] or {"mean": None})["mean"]) for arm in compared]
        rows.append([name, *cells, *differences])
    return heading, rows


def _number(cell: dict[str, Any], plus_minus: str) -> str:
    spread = "" if cell["std"] is None else f" {plus_minus} {percent(cell['std'])}"
    return f"{percent(cell['mean'])}{spread}"


def _notes(comparison: dict[str, Any]) -> list[str]:
    """What the numbers are, and what they do not show."""
    counts = {arm: len(seeds) for arm, seeds in comparison["seeds"].items()}
    seeds = ", ".join(f"{arm} {count}" for arm, count in counts.items())
    notes = [
        f"Mean and standard deviation of the sample over seeds ({seeds}); best and second best of each row marked."
    ]
    for arm, cell in comparison["rows"][MEAN].items():
        difference = cell["difference"]
        if difference is None:
            continue
        low, high = difference["interval"] or (None, None)
        interval = "no interval" if low is None else f"95 % interval {points(low)} to {points(high)}"
        paired, gain = len(difference["seeds"]), points(difference["mean"])
        line = f"{arm} - {comparison['baseline']}: {gain} points of mIoU, {interval} ({paired} paired seeds)."
        notes.append(line if paired >= SEEDS_FOR_A_CLAIM else f"{line} {CLAIMS_NOTHING}")
    return notes


def _mark_markdown(text: str, place: int | None) -> str:
    return f"**{text}**" if place == 1 else f"_{text}_" if place == 2 else text


def _mark_latex(text: str, place: int | None) -> str:
    return rf"\textbf{{{text}}}" if place == 1 else rf"\underline{{{text}}}" if place == 2 else text


def _latex_text(text: str) -> str:
    plain = text.replace("\\", "/")
    return re.sub(r"([&%$#_{}])", r"\\\1", plain).replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}")
