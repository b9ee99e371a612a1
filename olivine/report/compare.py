"""Results of any number of arms, side by side: one row for each arm and regime, paired with those of the first arm.

`olivine report` tells everything about two arms at one fraction; this table tells one thing about many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.report.arms import paired_by_seed
from olivine.report.differences import GROUPS, Difference
from olivine.report.interval import paired_interval
from olivine.report.page import environment
from olivine.report.summary import SEEDS_FOR_A_CLAIM, mean_known
from olivine.report.trace import RANDOM, Run, open_run
from olivine.store import Store


@dataclass(frozen=True)
class Regime:
    """How much was labelled, how the network was judged and on what: only results of one regime are paired."""

    every_nth: int
    unit: str
    frozen: str
    split: str
    drives: str
    """Id of the drives that were scored."""

    @property
    def fraction(self) -> str:
        """Label fraction and, for linear probing, that it is."""
        return f"1/{self.every_nth} by {self.unit}" + ("" if self.frozen == "no" else f", probed ({self.frozen})")


@dataclass(frozen=True)
class Row:
    """One arm under one regime. mIoU and differences are shares 0..1; None where a run has no mIoU."""

    arm: str
    regime: Regime
    miou_by_seed: dict[int, float | None]
    differences: list[float]
    """Paired with the baseline: of equal seeds under the same regime. Empty for the baseline itself."""

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

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "arm": self.arm,
            "fraction": self.regime.fraction,
            "split": self.regime.split,
            "drives": self.regime.drives,
            "miou": self.miou,
            "miou_by_seed": self.miou_by_seed,
            "difference": self.difference,
            "interval": self.interval,
            "num_pairs": len(self.differences),
        }


@dataclass(frozen=True)
class Comparison:
    """Rows by regime, fewest labels first; the baseline leads each regime. And what differs behind them, by group."""

    arms: Mapping[str, Sequence[str]]
    """Ids of what each arm is, by its name; the first is the baseline."""

    rows: Sequence[Row]
    differences: Mapping[str, Sequence[Difference]]
    notes: Sequence[str] = ()
    """What weakens the numbers, as sentences."""

    @property
    def baseline(self) -> str:
        """Name of the arm that the others are compared with."""
        return next(iter(self.arms))

    @property
    def splits(self) -> list[str]:
        """Splits that were scored."""
        return list(dict.fromkeys(row.regime.split for row in self.rows))

    @property
    def claims(self) -> bool:
        """Whether each row has pairs enough to claim anything."""
        return all(row.claims for row in self.rows if row.arm != self.baseline)

    def name_regime(self, row: Row) -> str:
        """The regime of a row, with the split and the drives where rows differ in them."""
        regime, name = row.regime, row.regime.fraction
        if len(self.splits) > 1:
            name += f", {regime.split}"
        return name + (f", drives {regime.drives[:6]}" if len({row.regime.drives for row in self.rows}) > 1 else "")

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, for a script."""
        return {
            "baseline": self.baseline,
            "notes": list(self.notes),
            "arms": {name: list(ids) for name, ids in self.arms.items()},
            "differences": {
                group: [difference.as_json(list(self.arms)) for difference in found]
                for group, found in self.differences.items()
            },
            "rows": [row.as_json() for row in self.rows],
        }


def compare_results(store: Store, arms: Mapping[str, Sequence[Artifact]]) -> list[Row]:
    """Rows of the arms whose metrics are given by name; the first arm is the baseline.

    Metrics that are given twice count once; an arm may have none.

    Raises:
        UsageError: what is given is no metrics; an arm has two of one seed under one regime.
        IntegrityError: a segmenter is missing.
    """
    cells: dict[tuple[Regime, str], dict[int, float | None]] = {}
    for arm, metrics in arms.items():
        for artifact in {item.id: item for item in metrics}.values():
            run = open_run(store, artifact)
            cell = cells.setdefault((_regime(run), arm), {})
            if run.seed in cell:
                raise UsageError(
                    f"arm {arm} has two metrics of seed {run.seed} at {_regime(run).fraction}: their recipes differ in "
                    "more than label fraction and seed. Name the segmenters or metrics that you mean."
                )
            cell[run.seed] = artifact.manifest.summary["miou"]
    order = list(arms)
    keys = sorted(cells, key=lambda key: (-key[0].every_nth, *list(vars(key[0]).values())[1:], order.index(key[1])))
    return [_row(regime, arm, cells, order[0]) for regime, arm in keys]


def arms_by_backbone(
    store: Store, metrics: Sequence[Artifact], baseline: Sequence[Artifact]
) -> dict[str, list[Artifact]]:
    """`metrics`, of any arms, and those of one `baseline` arm, by arm; the baseline first.

    An arm is a backbone, or random parameters; it bears the name of its method, and of its backbone where two have one
    method.

    Raises:
        UsageError: no metrics or no baseline; a baseline of several arms.
    """
    runs = {artifact.id: open_run(store, artifact) for artifact in [*baseline, *metrics]}
    if not baseline or len(runs) == len({artifact.id for artifact in baseline}):
        raise UsageError("a comparison needs the metrics of a baseline, and those of at least one other arm.")
    names = _name_arms(list(runs.values()))
    arms: dict[str, list[Artifact]] = {}
    for run in runs.values():
        arms.setdefault(names[_arm_key(run)], []).append(run.metrics)
    first = {names[_arm_key(runs[artifact.id])] for artifact in baseline}
    if len(first) > 1:
        raise UsageError(f"the baseline is of several arms ({', '.join(sorted(first))}): give the metrics of one.")
    return arms


def render_comparison(comparison: Comparison, title: str) -> str:
    """The comparison as one self-contained HTML page, which runs no script and asks no server for anything."""
    template = environment().get_template("comparison.html")
    return template.render(
        title=title,
        comparison=comparison,
        groups=GROUPS,
        seeds_for_a_claim=SEEDS_FOR_A_CLAIM,
    )


def _regime(run: Run) -> Regime:
    recipe, scored = run.segmenter.manifest.recipe, run.metrics.manifest
    summary, drives = scored.summary, scored.inputs["drives"].id
    return Regime(
        int(recipe["every_nth"]), str(recipe["fraction_unit"]), str(summary["frozen"]), str(summary["split"]), drives
    )


def _arm_key(run: Run) -> str:
    backbone = run.segmenter.manifest.inputs.get("backbone")
    return backbone.id if backbone else RANDOM


def _name_arms(runs: Sequence[Run]) -> dict[str, str]:
    """Name of each arm by its key."""
    methods = {_arm_key(run): run.arm for run in runs}
    shared = {method for method in methods.values() if list(methods.values()).count(method) > 1}
    return {key: f"{method} {key[:6]}" if method in shared else method for key, method in methods.items()}


def _row(regime: Regime, arm: str, cells: Mapping[tuple[Regime, str], dict[int, float | None]], baseline: str) -> Row:
    ours = dict(sorted(cells[regime, arm].items()))
    theirs = cells.get((regime, baseline), {})
    return Row(arm, regime, ours, [] if arm == baseline else list(paired_by_seed(ours, theirs).values()))
