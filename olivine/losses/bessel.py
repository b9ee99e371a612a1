"""Logarithm of the modified Bessel function of the first kind, for any order and argument, in double precision.

torch has the orders 0 and 1 only, and every unscaled form over- or underflows in the dimensions of features. Here the
uniform expansion for large orders (DLMF 10.41.3) is taken at an order where it is exact to double precision, and the
recurrence (DLMF 10.29.1), stable downwards, leads to the order asked for.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

MIN_EXPANSION_ORDER = 30
NUM_EXPANSION_TERMS = 6


def log_scaled_bessel(argument: Tensor, order: float) -> Tensor:
    """log( I_order(x) / x^order ), elementwise; finite at x = 0.

    Args:
        argument: x >= 0, any shape and floating dtype.
        order: at least -1/2.

    Returns:
        float64, same shape; absolute error below 1e-10 of max(1, |value|).

    >>> x = torch.tensor(2.0, dtype=torch.float64)
    >>> abs(log_scaled_bessel(x, 0.0).item() - torch.special.i0(x).log().item()) < 1e-9
    True
    """
    x = argument.double()
    num_steps = max(0, math.ceil(MIN_EXPANSION_ORDER - order))
    high = order + num_steps
    log_scaled = _expansion(x, high)
    if num_steps == 0:
        return log_scaled
    # x * I_(m+1) / I_m, the ratio in the form that vanishes smoothly with x.
    ratio = x**2 * (_expansion(x, high + 1) - log_scaled).exp()
    for step in range(num_steps):
        denominator = ratio + 2 * (high - step)
        log_scaled = log_scaled + denominator.log()
        ratio = x**2 / denominator
    return log_scaled


def _expansion(x: Tensor, order: float) -> Tensor:
    """log( I_order(x) / x^order ) by the uniform expansion for large orders, DLMF 10.41.3."""
    root = (1 + (x / order) ** 2).sqrt()
    exponent = order * (root - torch.log1p(root) - math.log(order))
    series = torch.zeros_like(x)
    for term in reversed(range(NUM_EXPANSION_TERMS)):
        series = series / order + _evaluate(_debye_coefficients(term), 1 / root)
    return exponent + series.log() - 0.5 * (root * (2 * math.pi * order)).log()


@cache
def _debye_coefficients(index: int) -> tuple[float, ...]:
    """Coefficients of U_index of DLMF 10.41.9, constant first, made from its predecessor term by term."""
    if index == 0:
        return (1.0,)
    coefficients = [0.0] * (3 * index + 1)
    for power, value in enumerate(_debye_coefficients(index - 1)):
        coefficients[power + 1] += value * (power / 2 + 1 / (8 * (power + 1)))
        coefficients[power + 3] -= value * (power / 2 + 5 / (8 * (power + 3)))
    return tuple(coefficients)


def _evaluate(coefficients: tuple[float, ...], t: Tensor) -> Tensor:
    value = torch.zeros_like(t)
    for coefficient in reversed(coefficients):
        value = value * t + coefficient
    return value
