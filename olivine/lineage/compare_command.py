"""`olivine compare`: what differs between runs and what came out, by hand and as a pipeline step.

olivine compare BACKBONE BACKBONE
olivine compare random=METRICS,METRICS olivine=METRICS,METRICS --out page.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from olivine.lineage.compare import compare_runs, compare_with_baseline
from olivine.report.command import parse_step, read_ids, read_text
from olivine.report.compare import Comparison, render_comparison
from olivine.report.differences import GROUPS
from olivine.report.page import write_whole
from olivine.report.table import CLAIMS_NOTHING, percent, points
from olivine.store import open_store


def run_compare(
    store_url: str, runs: Sequence[str], out: Path | None, title: str, everything: bool, as_json: bool
) -> None:
    """Print the comparison of these runs, and write it as a page where `out` says.

    Raises:
        UsageError: what `compare_runs` refuses; `out` cannot be written. IntegrityError: something is missing.
    """
    comparison = compare_runs(open_store(store_url), runs, everything)
    if out is not None:
        write_whole(out, render_comparison(comparison, title).encode())
    if as_json:
        print(json.dumps(comparison.as_json()))
        return
    print_comparison(comparison, Console())
    if out is not None:
        print(out)


def run_compare_executor(executor_input: str) -> None:
    """Write the page as a pipeline step: `store`, `title`, `metrics_ids` and `baseline_ids` in, `comparison` out.

    Ids come out of loops within loops, and may be lists of lists.

    Raises:
        UsageError: a parameter is missing, unknown or not what it must be; else what `compare_with_baseline` raises.
    """
    io = parse_step("compare", executor_input)
    store = open_store(read_text(io, "store"))
    comparison = compare_with_baseline(store, read_ids(io, "metrics_ids"), read_ids(io, "baseline_ids"))
    write_whole(io.output_path("comparison"), render_comparison(comparison, read_text(io, "title")).encode())
    metadata: dict[str, Any] = {"baseline": comparison.baseline, "split": ", ".join(comparison.splits)}
    for row in comparison.rows:
        facts = {"miou": row.miou, "difference": row.difference}
        name = f"{row.arm} {comparison.name_regime(row)}"
        metadata |= {f"{what} {name}": fact for what, fact in facts.items() if fact is not None}
    io.write_raw("comparison", metadata, {})


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what differs, group by group, then the results."""
    for group, heading in GROUPS.items():
        if found := comparison.differences.get(group):
            table = _table(heading, "", *comparison.arms)
            for difference in found:
                name = f"{difference.name} ({', '.join(difference.roles)})" if difference.roles else difference.name
                table.add_row(*map(Text, (name, *difference.cells)))
            console.print(table)
    if not comparison.differences:
        console.print("Nothing differs.")
    if comparison.rows:
        console.print(_results(comparison))
    else:
        console.print(
            "No metrics of a segmenter were made from these: there are no results to compare. `olivine detect table` "
            "compares detectors."
        )
    for line in (*comparison.notes, *([] if comparison.claims else [CLAIMS_NOTHING])):
        console.print(line, markup=False, highlight=False)


def _results(comparison: Comparison) -> Table:
    heading = f"mIoU [%], difference to {comparison.baseline} in points, with its 95 % interval"
    table = _table(heading, "labels", "arm", "mIoU", "difference", "interval", "pairs", "by seed")
    for row in comparison.rows:
        low, high = row.interval or (None, None)
        interval = "-" if low is None else f"{points(low)} to {points(high)}"
        is_baseline = row.arm == comparison.baseline
        gain = ["baseline", "-", "-"] if is_baseline else [points(row.difference), interval, str(len(row.differences))]
        by_seed = ", ".join(f"{seed}: {percent(miou)}" for seed, miou in row.miou_by_seed.items())
        table.add_row(*map(Text, (comparison.name_regime(row), row.arm, percent(row.miou), *gain, by_seed)))
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    return table
