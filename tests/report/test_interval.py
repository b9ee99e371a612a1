from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.report.interval import paired_interval, t_probability, t_quantile

stats = pytest.importorskip("scipy.stats")


@settings(max_examples=30)
@given(st.integers(1, 60), st.floats(0.01, 0.999))
def test_quantile_is_that_of_scipy(degrees: int, confidence: float):
    assert t_quantile(confidence, degrees) == pytest.approx(stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-9)


@given(st.integers(1, 300), st.floats(0, 1e4))
def test_probability_is_that_of_scipy(degrees: int, t: float):
    assert t_probability(t, degrees) == pytest.approx(1 - 2 * stats.t.sf(t, degrees), abs=1e-12)


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_interval_is_that_of_scipy(differences: list[float]):
    interval = paired_interval(differences)
    assert interval is not None
    low, high = interval
    mean, scale = sum(differences) / len(differences), float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    half = stats.t.ppf(0.975, len(differences) - 1) * scale
    assert low == pytest.approx(mean - half, abs=1e-9)
    assert high == pytest.approx(mean + half, abs=1e-9)


@pytest.mark.parametrize("differences", [[], [0.3]])
def test_fewer_than_two_differences_have_no_interval(differences: list[float]):
    assert paired_interval(differences) is None
