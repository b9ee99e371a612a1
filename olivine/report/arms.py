"""Any number of arms compared class by class: mean and spread over seeds, best and second best, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from olivine.errors import UsageError
from olivine.report.interval import paired_interval
from olivine.report.summary import mean_known

MEAN = "mIoU"
"""Name of the first row: the mean over the classes, as the scores themselves give it."""


@dataclass(frozen=True)
class ScoredRun:
    """One arm with one seed: mIoU and IoU by class, shares 0..1, None where a class neither occurs nor is predicted."""

    arm: str
    seed: int
    miou: float | None
    per_category: dict[str, float | None]


def compare_arms(runs: Sequence[ScoredRun], baseline: str | None = None) -> dict[str, Any]:
    """The comparison as plain JSON values.

    Keys: `arms`, in the order given; `classes`; `seeds` by arm; `baseline`; `rows` by class (`mIoU` first), each with
    a cell by arm: `by_seed`, `mean`, `std` (of the sample; null with one seed), `place` (1 best, 2 second best, equal
    means share a place; null for the rest) and, against the baseline, `difference` of equal seeds with `mean`, `std`,
    the 95 % Student-t `interval` and `seeds`; null where there is none.

    Raises:
        UsageError: no runs, a seed twice in an arm, other classes in a run than in the first, no such baseline.
    """
    arms = _by_arm(runs)
    if baseline is not None and baseline not in arms:
        raise UsageError(f"the baseline {baseline!r} is no arm: choose one of {', '.join(arms)}.")
    classes = list(runs[0].per_category)
    return {
        "arms": list(arms),
        "classes": classes,
        "seeds": {arm: sorted(of_arm) for arm, of_arm in arms.items()},
        "baseline": baseline,
        "rows": {name: _row(arms, name, baseline) for name in (MEAN, *classes)},
    }


def _by_arm(runs: Sequence[ScoredRun]) -> dict[str, dict[int, ScoredRun]]:
    if not runs:
        raise UsageError("a table needs scores: give --metrics ID or --scores ARM:SEED=FILE at least once.")
    arms: dict[str, dict[int, ScoredRun]] = {}
    for run in runs:
        if run.per_category.keys() != runs[0].per_category.keys():
            other = sorted(run.per_category.keys() ^ runs[0].per_category.keys())[0]
            raise UsageError(
                f"{run.arm} with seed {run.seed} was scored on other classes than {runs[0].arm}: {other!r} is in one "
                "of them alone. Compare scores of one data set."
            )
        if run.seed in arms.setdefault(run.arm, {}):
            raise UsageError(f"the arm {run.arm!r} has seed {run.seed} twice: give one score for each seed.")
        arms[run.arm][run.seed] = run
    return arms


def _row(arms: dict[str, dict[int, ScoredRun]], name: str, baseline: str | None) -> dict[str, Any]:
    values = {arm: {seed: _value(run, name) for seed, run in sorted(of_arm.items())} for arm, of_arm in arms.items()}
    row = {arm: _cell(by_seed) for arm, by_seed in values.items()}
    means = sorted({cell["mean"] for cell in row.values() if cell["mean"] is not None}, reverse=True)
    for arm, cell in row.items():
        cell["place"] = means.index(cell["mean"]) + 1 if cell["mean"] in means[:2] else None
        is_compared = baseline is not None and arm != baseline
        cell["difference"] = _difference(values[arm], values[baseline]) if is_compared and baseline else None
    return row


def _value(run: ScoredRun, name: str) -> float | None:
    return run.miou if name == MEAN else run.per_category[name]


def _cell(by_seed: dict[int, float | None]) -> dict[str, Any]:
    known = [value for value in by_seed.values() if value is not None]
    return {
        "by_seed": {str(seed): value for seed, value in by_seed.items()},
        "mean": mean_known(known),
        "std": stdev(known) if len(known) > 1 else None,
    }


def paired_by_seed(ours: Mapping[int, float | None], theirs: Mapping[int, float | None]) -> dict[int, float]:
    """`ours - theirs` of each seed that both have a value of, by seed."""
    found = {}
    for seed in sorted(ours.keys() & theirs.keys()):
        one, other = ours[seed], theirs[seed]
        if one is not None and other is not None:
            found[seed] = one - other
    return found


def _difference(ours: dict[int, float | None], theirs: dict[int, float | None]) -> dict[str, Any] | None:
    by_seed = paired_by_seed(ours, theirs)
    if not by_seed:
        return None
    seeds, differences = list(by_seed), list(by_seed.values())
    interval = paired_interval(differences)
    return {
        "mean": fmean(differences),
        "std": stdev(differences) if len(differences) > 1 else None,
        "interval": None if interval is None else list(interval),
        "seeds": seeds,
    }
