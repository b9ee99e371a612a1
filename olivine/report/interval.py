"""The interval of a mean of few paired differences, by Student's t distribution and the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

CONFIDENCE = 0.95


def paired_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % Student-t interval of the mean (n - 1 degrees of freedom); None for fewer than two differences."""
    if len(differences) < 2:
        return None
    mean = fmean(differences)
    half = t_quantile(CONFIDENCE, len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
    return mean - half, mean + half


def t_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| < t) = `confidence`, for 0 < confidence < 1 and at least one degree of freedom."""
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < confidence:
        high *= 2
    # Each halving gains a bit, so that 100 of them reach the last one.
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, degrees) < confidence else (low, middle)
    return high


def t_probability(t: float, degrees: int) -> float:
    """P(|T| < t): the finite series for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for step in range(2 + odd, degrees - 1, 2):
        term *= cosine**2 * (step - 1) / step
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
