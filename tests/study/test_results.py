"""Tables and verdicts of made-up scores, against arithmetic by hand."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from olivine.study.miniature import ONE_PERCENT, Order
from olivine.study.results import judge_orders, paired, summarise_arms
from olivine.study.tasks import Arm, Cell

ARMS = {name: Arm(name, name.title(), name) for name in ("random", "olivine", "slidr")}


def scores(**values):
    return {
        Cell(ARMS[arm], ONE_PERCENT, pretrain, seed): miou
        for arm, cells in values.items()
        for (pretrain, seed), miou in cells.items()
    }


SCORES = scores(
    random={(0, 0): 0.20, (0, 1): 0.22, (0, 2): 0.21},
    olivine={(0, 0): 0.25, (0, 1): 0.26, (0, 2): 0.27, (1, 1): 0.24, (2, 2): 0.29},
    slidr={(0, 1): 0.21},
)


def test_means_intervals_and_gains():
    arms = summarise_arms(ARMS, SCORES)
    found = arms["olivine"]["regimes"]["1%"]
    assert found["values"] == [0.25, 0.26, 0.27]
    assert found["mean"] == pytest.approx(0.26)
    gains = [0.05, 0.04, 0.06]
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert found["gain_over_random"]["values"] == pytest.approx(gains)
    assert found["gain_over_random"]["interval"] == pytest.approx([0.05 - half, 0.05 + half])
    assert found["over_pretraining"]["values"] == [0.25, 0.24, 0.29]
    assert "gain_over_random" not in arms["random"]["regimes"]["1%"]
    alone = arms["slidr"]["regimes"]["1%"]
    assert (alone["mean"], alone["interval"], alone["seeds"]) == (0.21, None, [1])


def test_pairs_are_of_equal_seeds_on_the_first_pretraining():
    assert paired(SCORES, "slidr", "random", "1%") == pytest.approx([-0.01])
    assert paired(SCORES, "olivine", "random", "lp") == []


@pytest.mark.parametrize(
    ("better", "worse", "control", "verdict"),
    [
        ("olivine", "random", False, "holds"),
        ("random", "olivine", False, "reversed"),
        ("slidr", "random", False, "undecided"),
        ("olivine", "absent", False, "missing"),
        ("olivine", "random", True, "reversed"),
        ("random", "olivine", True, "holds"),
    ],
)
def test_verdicts(better, worse, control, verdict):
    (found,) = judge_orders(SCORES, [Order("here", better, worse, "1%", control)])
    assert found["verdict"] == verdict


def test_an_interval_that_holds_zero_decides_nothing():
    noisy = scores(random={(0, 0): 0.2, (0, 1): 0.3}, olivine={(0, 0): 0.3, (0, 1): 0.25})
    (found,) = judge_orders(noisy, [Order("here", "olivine", "random", "1%")])
    assert found["verdict"] == "undecided"
    assert found["difference"]["mean"] == pytest.approx(0.025)
