"""log I_v(x) / x^v against 50 digits of mpmath and against the orders that have a closed form."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.losses.bessel import log_scaled_bessel

mpmath.mp.dps = 50


def exact(x: float, order: float) -> mpmath.mpf:
    x, order = mpmath.mpf(x), mpmath.mpf(order)
    return mpmath.log(mpmath.besseli(order, x)) - order * mpmath.log(x)


def ours(x: float, order: float) -> float:
    return log_scaled_bessel(torch.tensor(x, dtype=torch.float64), order).item()


@pytest.mark.parametrize("order", [-0.5, 0, 0.5, 1, 7, 29.5, 30, 31, 63, 383.5])
@pytest.mark.parametrize("x", [1e-3, 0.3, 1, 12, 31, 89, 700, 1e4])
def test_against_mpmath(order, x):
    expected = exact(x, order)
    assert abs(ours(x, order) - expected) < 1e-10 * max(1, abs(expected))


@settings(max_examples=200, deadline=None)
@given(st.integers(-1, 1000), st.floats(1e-3, 1e4))
def test_against_mpmath_anywhere(twice_order, x):
    expected = exact(x, twice_order / 2)
    assert abs(ours(x, twice_order / 2) - expected) < 1e-10 * max(1, abs(expected))


@pytest.mark.parametrize("order", [0, 0.5, 31, 200])
def test_at_zero_it_is_the_first_term_of_the_series(order):
    expected = -order * math.log(2) - math.lgamma(order + 1)
    assert ours(0.0, order) == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_keeps_the_shape_and_widens():
    values = log_scaled_bessel(torch.ones(2, 3, dtype=torch.float16), 31)
    assert values.shape == (2, 3)
    assert values.dtype == torch.float64


def test_derivative_is_the_ratio_of_neighbouring_orders():
    x = torch.tensor([0.5, 40.0, 900.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_scaled_bessel(x, 31).sum(), x)
    ratio = x * (log_scaled_bessel(x, 32) - log_scaled_bessel(x, 31)).exp()
    torch.testing.assert_close(slope, ratio, rtol=1e-8, atol=0)
