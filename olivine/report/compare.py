"""Recipes compared at label fractions: one row for each, its mean mIoU, and the paired difference to a baseline.

`olivine report` tells everything about two arms at one fraction; this table tells one thing about many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from olivine import __version__
from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.report.interval import paired_interval
from olivine.report.page import environment
from olivine.report.summary import SEEDS_FOR_A_CLAIM, mean_known
from olivine.report.trace import RANDOM, Run, open_run
from olivine.store import Store


@dataclass(frozen=True)
class Row:
    """One arm at one label fraction. mIoU and differences are shares 0..1; None where a run has no mIoU."""

    arm: str
    fraction: str
    miou_by_seed: dict[int, float | None]
    differences: list[float]
    """Paired with the baseline: of equal seeds at the same fraction. Empty for the baseline itself."""

    @property
    def miou(self) -> float | None:
        """Mean over seeds."""
        return mean_known(self.miou_by_seed.values())

    @property
    def difference(self) -> float | None:
        """Mean of the paired differences."""
        return fmean(self.differences) if self.differences else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Student-t interval of that mean; None for fewer than two pairs."""
        return paired_interval(self.differences)

    @property
    def claims(self) -> bool:
        """Whether there are pairs enough to claim anything."""
        return len(self.differences) >= SEEDS_FOR_A_CLAIM


@dataclass(frozen=True)
class Comparison:
    """Rows by fraction, fewest labels first; the baseline leads each fraction."""

    baseline: str
    split: str
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, for a script."""
        return {
            "baseline": self.baseline,
            "split": self.split,
            "rows": [
                {
                    "arm": row.arm,
                    "fraction": row.fraction,
                    "miou": row.miou,
                    "miou_by_seed": row.miou_by_seed,
                    "difference": row.difference,
                    "interval": row.interval,
                    "num_pairs": len(row.differences),
                }
                for row in self.rows
            ],
        }


def compare(store: Store, metrics: Sequence[Artifact], baseline: Sequence[Artifact]) -> Comparison:
    """Compare `metrics`, of any arms and label fractions, with those of one `baseline` arm.

    An arm is a backbone, or random parameters; it bears the name of its method, and of its backbone where two have one
    method. Metrics that are given twice count once.

    Raises:
        UsageError: no metrics or no baseline; a baseline of several arms; runs on other drives or splits; runs that
            differ in more than arm, fraction and seed. IntegrityError: a segmenter is missing.
    """
    runs = {artifact.id: open_run(store, artifact) for artifact in [*baseline, *metrics]}
    if not baseline or len(runs) == len({artifact.id for artifact in baseline}):
        raise UsageError("a comparison needs the metrics of a baseline, and those of at least one other arm.")
    _check_shared(list(runs.values()))
    names = _name_arms(list(runs.values()))
    first = {names[_arm_key(runs[artifact.id])] for artifact in baseline}
    if len(first) > 1:
        raise UsageError(f"the baseline is of several arms ({', '.join(sorted(first))}): give the metrics of one.")
    (name,) = first
    cells = _fill_cells(runs.values(), names)
    order = [name, *(arm for arm in dict.fromkeys(names.values()) if arm != name)]
    keys = sorted(cells, key=lambda key: (-key[1], key[2], order.index(key[0])))
    rows = tuple(_row(arm, every_nth, unit, cells, name) for arm, every_nth, unit in keys)
    return Comparison(name, str(next(iter(runs.values())).metrics.manifest.summary["split"]), rows)


def render_comparison(comparison: Comparison, title: str) -> str:
    """The table as one self-contained HTML page, which runs no script and asks no server for anything."""
    template = environment().get_template("comparison.html")
    return template.render(
        title=title,
        version=__version__,
        style=(Path(__file__).parent / "page.css").read_text(),
        comparison=comparison,
        seeds_for_a_claim=SEEDS_FOR_A_CLAIM,
        claims=all(row.claims for row in comparison.rows if row.arm != comparison.baseline),
    )


_Key = tuple[str, int, str]
"""Arm, N of the fraction 1/N, and what it counts."""


def _arm_key(run: Run) -> str:
    backbone = run.segmenter.manifest.inputs.get("backbone")
    return backbone.id if backbone else RANDOM


def _name_arms(runs: Sequence[Run]) -> dict[str, str]:
    """Name of each arm by its key."""
    methods = {_arm_key(run): run.arm for run in runs}
    shared = {method for method in methods.values() if list(methods.values()).count(method) > 1}
    return {key: f"{method} {key[:6]}" if method in shared else method for key, method in methods.items()}


def _fill_cells(runs: Iterable[Run], names: dict[str, str]) -> dict[_Key, dict[int, float | None]]:
    cells: dict[_Key, dict[int, float | None]] = {}
    for run in runs:
        recipe = run.segmenter.manifest.recipe
        key = names[_arm_key(run)], int(recipe["every_nth"]), str(recipe["fraction_unit"])
        cell = cells.setdefault(key, {})
        if run.seed in cell:
            raise UsageError(
                f"arm {key[0]} at 1/{key[1]} has two metrics of seed {run.seed}: give runs that differ in recipe, "
                "label fraction and seed alone."
            )
        cell[run.seed] = run.metrics.manifest.summary["miou"]
    return cells


def _row(arm: str, every_nth: int, unit: str, cells: dict[_Key, dict[int, float | None]], baseline: str) -> Row:
    ours, theirs = cells[arm, every_nth, unit], cells.get((baseline, every_nth, unit), {})
    pairs = [(ours[seed], theirs.get(seed)) for seed in sorted(ours)] if arm != baseline else []
    differences = [mine - other for mine, other in pairs if mine is not None and other is not None]
    by_seed = {seed: ours[seed] for seed in sorted(ours)}
    return Row(arm, f"1/{every_nth} by {unit}", by_seed, differences)


def _check_shared(runs: Sequence[Run]) -> None:
    shared = {
        "splits": [str(run.metrics.manifest.summary["split"]) for run in runs],
        "drives": [run.metrics.manifest.inputs["drives"].id[:12] for run in runs],
        "training of the backbone (frozen)": [str(run.metrics.manifest.summary["frozen"]) for run in runs],
    }
    for what, values in shared.items():
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            raise UsageError(f"runs with different {what} ({', '.join(different)}) cannot be compared: choose one.")
