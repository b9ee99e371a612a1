"""What happens in the sensor or on its way: blur, missing beams, cross-talk, lost echoes, another sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from olivine.points.corrupt.corrupted import Corrupted, keep, ranges, scatter

_BLUR_M = (0.1, 0.2, 0.3)
_MISSING_BEAMS = (0.25, 0.5, 0.75)
_CROSSTALK = (0.01, 0.03, 0.06)
_CROSSTALK_RANGE_M = (1.0, 70.0)
_LOST_ECHOES = (0.5, 0.7, 0.9)
_SENSORS = ((2, 1), (2, 2), (4, 2))
"""Every how many beams, and every how many points of a beam, are kept."""


def jitter(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """Motion blur: every point is off by a Gaussian of 0.1, 0.2 or 0.3 m in each direction."""
    blurred_N5 = points_N5.copy()
    blurred_N5[:, :3] += rng.normal(0, _BLUR_M[severity - 1], (len(points_N5), 3)).astype(np.float32)
    return Corrupted(blurred_N5, np.arange(len(points_N5), dtype=np.int32))


def drop_beams(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """A quarter, half or three quarters of the beams, drawn at random, send nothing."""
    beams = np.unique(points_N5[:, 4])
    lost = rng.permutation(beams)[: round(_MISSING_BEAMS[severity - 1] * len(beams))]
    return keep(points_N5, ~np.isin(points_N5[:, 4], lost))


def mix_crosstalk(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """1, 3 or 6 % of the rays take the light of another sensor: any range from 1 to 70 m, any intensity."""
    is_mixed_N = (rng.random(len(points_N5)) < _CROSSTALK[severity - 1]) & (ranges(points_N5) > 0)
    range_N = rng.uniform(*_CROSSTALK_RANGE_M, len(points_N5))
    intensity_N = np.where(is_mixed_N, rng.uniform(0, 255, len(points_N5)), points_N5[:, 3])
    return scatter(points_N5, ~is_mixed_N, is_mixed_N, range_N, intensity_N)


def drop_dark_echoes(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """Incomplete echoes: of the darker half of the points 50, 70 or 90 % are lost."""
    order = np.argsort(points_N5[:, 3], kind="stable")
    is_dark_N = np.zeros(len(points_N5), bool)
    is_dark_N[order[: len(points_N5) // 2]] = True
    return keep(points_N5, ~(is_dark_N & (rng.random(len(points_N5)) < _LOST_ECHOES[severity - 1])))


def thin_out(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """Another sensor: every second beam; every second beam and point; every fourth beam and second point.

    Beams count from the lowest ring, points of a beam from its first in the sweep.
    """
    del rng
    every_beam, every_point = _SENSORS[severity - 1]
    _, beam_N = np.unique(points_N5[:, 4], return_inverse=True)
    order = np.argsort(beam_N, kind="stable")
    starts = np.searchsorted(beam_N[order], np.arange(beam_N.max(initial=-1) + 1))
    place_N = np.empty(len(points_N5), np.int64)
    place_N[order] = np.arange(len(points_N5)) - starts[beam_N[order]]
    return keep(points_N5, (beam_N % every_beam == 0) & (place_N % every_point == 0))
