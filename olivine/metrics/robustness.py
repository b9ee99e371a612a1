"""How much of a score survives corruption: mCE and mRR as Robo3D (Kong et al. 2023) defines them, as shares.

Scores are mIoU 0..1 by corruption and severity.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from olivine.errors import DataError

Scores = Mapping[str, Mapping[int, float]]
"""mIoU by corruption and severity."""


def corruption_errors(scores: Scores, baseline: Scores) -> dict[str, float]:
    """CE by corruption: the error 1 - mIoU summed over severities, relative to that of the baseline. Less is better.

    Raises:
        DataError: other corruptions or severities than the baseline's, or a baseline without error.
    """
    _check_same(scores, baseline)
    errors = {}
    for name, by_severity in scores.items():
        error = sum(1 - miou for miou in by_severity.values())
        reference = sum(1 - miou for miou in baseline[name].values())
        if reference <= 0:
            raise DataError(f"{name}: the baseline has no error, so none can be relative to it: take another baseline")
        errors[name] = error / reference
    return errors


def mean_corruption_error(scores: Scores, baseline: Scores) -> float:
    """mCE: mean of CE over the corruptions; 1 for the baseline itself."""
    return fmean(corruption_errors(scores, baseline).values())


def resilience_rates(scores: Scores, clean_miou: float) -> dict[str, float]:
    """RR by corruption: mean mIoU over severities, relative to that without corruption. More is better.

    Raises:
        DataError: no corruption, or a clean mIoU of 0.
    """
    if clean_miou <= 0:
        raise DataError("the mIoU without corruption is 0, so no rate can be relative to it")
    if not scores or not all(scores.values()):
        raise DataError("no corruption was scored")
    return {name: fmean(by_severity.values()) / clean_miou for name, by_severity in scores.items()}


def mean_resilience_rate(scores: Scores, clean_miou: float) -> float:
    """mRR: mean of RR over the corruptions."""
    return fmean(resilience_rates(scores, clean_miou).values())


def _check_same(scores: Scores, baseline: Scores) -> None:
    if not scores:
        raise DataError("no corruption was scored")
    for name in scores.keys() | baseline.keys():
        ours, theirs = sorted(scores.get(name, {})), sorted(baseline.get(name, {}))
        if ours != theirs or not ours:
            raise DataError(
                f"{name}: severities {ours} were scored, those of the baseline are {theirs}: score the same"
            )
