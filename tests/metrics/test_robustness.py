from __future__ import annotations

import pytest

from olivine.errors import DataError
from olivine.metrics.robustness import (
    corruption_errors,
    mean_corruption_error,
    mean_resilience_rate,
    resilience_rates,
)

BASELINE = {"fog": {1: 0.5, 2: 0.4, 3: 0.3}, "snow": {1: 0.6, 2: 0.6, 3: 0.6}}
OURS = {"fog": {1: 0.8, 2: 0.7, 3: 0.6}, "snow": {1: 0.4, 2: 0.4, 3: 0.4}}


def test_by_hand():
    assert corruption_errors(OURS, BASELINE) == {"fog": pytest.approx(0.9 / 1.8), "snow": pytest.approx(1.8 / 1.2)}
    assert mean_corruption_error(OURS, BASELINE) == pytest.approx((0.5 + 1.5) / 2)
    assert resilience_rates(OURS, 0.8) == {"fog": pytest.approx(0.7 / 0.8), "snow": pytest.approx(0.5)}
    assert mean_resilience_rate(OURS, 0.8) == pytest.approx((0.875 + 0.5) / 2)


def test_the_baseline_has_an_error_of_one():
    assert mean_corruption_error(BASELINE, BASELINE) == 1


@pytest.mark.parametrize(
    ("scores", "baseline", "reason"),
    [
        ({}, {}, "no corruption was scored"),
        (OURS, {"fog": BASELINE["fog"]}, r"snow: severities \[1, 2, 3\] were scored, those of the baseline are \[\]"),
        ({"fog": {1: 0.5}}, {"fog": {2: 0.5}}, r"fog: severities \[1\]"),
        ({"fog": {1: 0.5}}, {"fog": {1: 1.0}}, "fog: the baseline has no error"),
    ],
)
def test_what_cannot_be_compared(scores, baseline, reason):
    with pytest.raises(DataError, match=reason):
        mean_corruption_error(scores, baseline)


def test_without_a_clean_score():
    with pytest.raises(DataError, match="the mIoU without corruption is 0"):
        mean_resilience_rate(OURS, 0.0)
    with pytest.raises(DataError, match="no corruption was scored"):
        mean_resilience_rate({}, 0.5)
