"""From the metrics of a study's cells to its tables: means, intervals, paired differences, and which orders hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from olivine.report.interval import paired_interval
from olivine.study.miniature import ORDERS, Order
from olivine.study.tasks import Arm, Cell

Scores = Mapping[Cell, float]
"""mIoU, a share 0..1, of each cell."""

Verdict = Literal["holds", "reversed", "undecided", "missing"]
BASELINE = "random"


def summarise_arms(arms: Mapping[str, Arm], scores: Scores) -> dict[str, Any]:
    """For each arm and regime: `miou` by fine-tuning seed on one pretraining, its `mean` and 95 % `interval`, and the
    paired difference to random; `over_pretraining` likewise, where arms were pretrained with several seeds."""
    return {
        name: {
            "title": arm.title,
            "method": arm.method,
            "settings": list(arm.settings),
            "regimes": {regime: _summary(name, regime, scores) for regime in _regimes(name, scores)},
        }
        for name, arm in arms.items()
    }


def judge_orders(scores: Scores, orders: Sequence[Order] = ORDERS) -> list[dict[str, Any]]:
    """Each order of the paper with its paired difference, interval and verdict.

    `holds`: the 95 % interval of the difference lies above zero; `reversed`: below; `undecided`: it holds zero. For a
    control, `holds` means that no gain was shown: the interval does not lie above zero.
    """
    return [_judge(order, scores) for order in orders]


def seeds_of(scores: Scores, arm: str, regime: str) -> dict[int, float]:
    """mIoU by fine-tuning seed, on the first pretraining."""
    return {
        cell.seed: miou
        for cell, miou in scores.items()
        if (cell.arm.name, cell.regime.name, cell.pretrain_seed) == (arm, regime, 0)
    }


def paired(scores: Scores, better: str, worse: str, regime: str) -> list[float]:
    """Differences of equal fine-tuning seeds."""
    ours, theirs = seeds_of(scores, better, regime), seeds_of(scores, worse, regime)
    return [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]


def _regimes(arm: str, scores: Scores) -> list[str]:
    return list(dict.fromkeys(cell.regime.name for cell in scores if cell.arm.name == arm))


def _summary(arm: str, regime: str, scores: Scores) -> dict[str, Any]:
    by_seed = seeds_of(scores, arm, regime)
    summary = {"seeds": sorted(by_seed), **_spread([by_seed[seed] for seed in sorted(by_seed)])}
    if arm != BASELINE:
        differences = paired(scores, arm, BASELINE, regime)
        if differences:
            summary["gain_over_random"] = _spread(differences)
    over = {
        cell.pretrain_seed: miou
        for cell, miou in scores.items()
        if (cell.arm.name, cell.regime.name) == (arm, regime) and cell.pretrain_seed == cell.seed
    }
    if len(over) > 1:
        summary["over_pretraining"] = _spread([over[seed] for seed in sorted(over)])
    return summary


def _spread(values: list[float]) -> dict[str, Any]:
    interval = paired_interval(values)
    return {"values": values, "mean": fmean(values), "interval": None if interval is None else list(interval)}


def _judge(order: Order, scores: Scores) -> dict[str, Any]:
    differences = paired(scores, order.better, order.worse, order.regime)
    found: dict[str, Any] = {**vars(order), "verdict": "missing", "difference": None}
    if differences:
        spread = _spread(differences)
        found |= {"difference": spread, "verdict": _verdict(spread["interval"], order.control)}
    return found


def _verdict(interval: list[float] | None, control: bool) -> Verdict:
    if interval is None:
        return "undecided"
    low, high = interval
    if control:
        return "holds" if low <= 0 else "reversed"
    return "holds" if low > 0 else "reversed" if high < 0 else "undecided"
