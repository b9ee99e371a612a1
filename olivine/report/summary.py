"""The summary of a comparison: `summary.json`, from which every number of the table and the page is taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from olivine.artifacts import Artifact
from olivine.drives.classes import class_names
from olivine.report.costs import stage_costs
from olivine.report.interval import paired_interval
from olivine.report.trace import RANDOM, Run, Trace, trace
from olivine.stages import BY_WORD, WORDS
from olivine.store import Store

SEEDS_FOR_A_CLAIM = 5
"""Paired seeds below which a difference is shown with its interval and claims nothing."""


def summarise(store: Store, metrics: Sequence[Artifact]) -> dict[str, Any]:
    """What `metrics` (one for each arm and seed, in any order) say and what they were made from, as plain JSON values.

    Keys: `arms` by name with `miou`, `miou_by_seed` and `per_category`, shares 0..1, means over seeds, null where a
    category neither occurs nor is predicted; `paired_gain` with the `mean` of the differences pretrained - random of
    equal seeds and its 95 % Student-t `interval` (n - 1 degrees of freedom; null with one seed, both null with one
    arm); `seeds`; `labels` with `kind`, `accuracy`, `coverage`; `artifacts` by stage, `arm` and `seed` null for what
    runs share; `wall_s` and `peak_rss_mb` by stage, from the records of the newest runs. Only the last two differ
    between two runs over the same data.

    Raises:
        UsageError: the metrics cannot be compared. IntegrityError: an artifact that they were made from is missing.
    """
    return summarise_trace(trace(store, metrics))


def summarise_trace(traced: Trace) -> dict[str, Any]:
    """`summarise` for what was already traced."""
    costs = stage_costs(traced)
    return {
        "arms": {arm: _arm(traced.of_arm(arm)) for arm in traced.arms},
        "paired_gain": _paired_gain(traced),
        "seeds": traced.seeds,
        "labels": _labels(traced.of_kind("weak_labels")),
        "artifacts": {stage: list(_artifacts(traced, stage)) for stage in WORDS},
        "wall_s": {stage: None if cost.wall_s is None else round(cost.wall_s, 3) for stage, cost in costs.items()},
        "peak_rss_mb": {stage: cost.peak_rss_mb for stage, cost in costs.items()},
    }


def _arm(runs: Sequence[Run]) -> dict[str, Any]:
    scores = [run.metrics.manifest.summary for run in runs]
    names = class_names(runs[0].metrics.manifest)
    per_category = {name: mean_known(score["per_category"][name] for score in scores) for name in names}
    by_seed = [score["miou"] for score in scores]
    return {"miou": mean_known(by_seed), "miou_by_seed": by_seed, "per_category": per_category}


def mean_known(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there; None when none is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def paired_differences(arms: dict[str, Any]) -> list[float]:
    """mIoU of the pretrained arm - random for each seed in which both have one; empty without both."""
    arm = pretrained_arm(arms)
    if arm is None:
        return []
    pairs = zip(arms[RANDOM]["miou_by_seed"], arms[arm]["miou_by_seed"], strict=True)
    return [ours - random for random, ours in pairs if ours is not None and random is not None]


def pretrained_arm(arms: dict[str, Any]) -> str | None:
    """The method that is compared with random; None unless there is exactly one."""
    others = [arm for arm in arms if arm != RANDOM]
    return others[0] if RANDOM in arms and len(others) == 1 else None


def _paired_gain(traced: Trace) -> dict[str, Any]:
    differences = paired_differences({arm: _arm(traced.of_arm(arm)) for arm in traced.arms})
    interval = paired_interval(differences)
    return {"mean": mean_known(differences), "interval": None if interval is None else list(interval)}


def _labels(weak_labels: Artifact | None) -> dict[str, Any]:
    summary = weak_labels.manifest.summary if weak_labels else {}
    return {name: summary.get(name) for name in ("kind", "accuracy", "coverage")}


def _artifacts(traced: Trace, stage: str) -> Iterable[dict[str, Any]]:
    for artifact in traced.artifacts:
        if (artifact.manifest.stage, artifact.manifest.kind) == (stage, BY_WORD[stage].makes):
            arm, seed = traced.owner(artifact)
            yield {"arm": arm, "seed": seed, "id": artifact.id, "data_digest": artifact.manifest.data_digest}
