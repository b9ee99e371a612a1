"""Fog, snow and wet ground. Light is weakened by exp(-2 a r) on its way to range r and back (Beer and Lambert)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from olivine.points.corrupt.corrupted import Corrupted, ranges, scatter

_FOG_PER_M = (0.005, 0.02, 0.06)
"""Extinction a [1/m]: visibilities of about 600, 150 and 50 m."""
_FOG_RETURN_SHARE = 0.3
_FLAKES_PER_M = (0.003, 0.01, 0.025)
"""How likely a ray meets a flake in a metre."""
_SNOW_REACH_M = 20.0
_FILM = (0.5, 1.0, 2.0)
"""How strongly a film of water mirrors grazing light away: the exponent of the sine of incidence."""
_NEAREST_M = 1.0
_FAINT = 12.0
"""Greatest intensity 0..255 of a drop or flake."""
_GROUND_BAND_M = 0.25
_GROUND_REACH_M = 40.0


def add_fog(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """A point at range r survives with probability exp(-a r), weakened by exp(-2 a r); of the others three in ten
    return from the fog, at an exponential range before the surface, and are faint."""
    extinction, range_N = _FOG_PER_M[severity - 1], ranges(points_N5)
    survives_N = rng.random(len(points_N5)) < np.exp(-extinction * range_N)
    returns_N = rng.random(len(points_N5)) < _FOG_RETURN_SHARE
    fog_range_N = _NEAREST_M + rng.exponential(1 / (2 * extinction), len(points_N5))
    is_fog_N = ~survives_N & returns_N & (fog_range_N < range_N)
    weakened_N = points_N5[:, 3] * np.exp(-2 * extinction * range_N)
    faint_N = rng.uniform(0, _FAINT, len(points_N5))
    return scatter(points_N5, survives_N, is_fog_N, fog_range_N, np.where(is_fog_N, faint_N, weakened_N))


def add_snow(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """A ray meets a flake with a probability that grows over its first 20 m, and returns from there, faint; other
    points are weakened as by as many flakes. Snow that lies on the ground is not modelled."""
    flakes, range_N = _FLAKES_PER_M[severity - 1], ranges(points_N5)
    in_reach_N = np.minimum(range_N, _SNOW_REACH_M)
    is_flake_N = rng.random(len(points_N5)) < 1 - np.exp(-flakes * np.maximum(in_reach_N - _NEAREST_M, 0))
    flake_range_N = _NEAREST_M + rng.random(len(points_N5)) * np.maximum(in_reach_N - _NEAREST_M, 0)
    weakened_N = points_N5[:, 3] * np.exp(-2 * flakes * range_N)
    faint_N = rng.uniform(0, _FAINT, len(points_N5))
    return scatter(points_N5, ~is_flake_N, is_flake_N, flake_range_N, np.where(is_flake_N, faint_N, weakened_N))


def wet_ground(points_N5: NDArray[np.float32], severity: int, rng: np.random.Generator) -> Corrupted:
    """A point on the ground, hit at an angle w, survives with probability sin(w)^k and is weakened as much: grazing
    light is mirrored away. Other points stay."""
    is_ground_N, sine_N = find_ground(points_N5)
    share_N = np.where(is_ground_N, sine_N ** _FILM[severity - 1], 1.0)
    survives_N = rng.random(len(points_N5)) < share_N
    nothing_N = np.zeros(len(points_N5), bool)
    return scatter(points_N5, survives_N, nothing_N, ranges(points_N5), points_N5[:, 3] * share_N)


def find_ground(points_N5: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which points lie on the plane of the ground, bool [N], and the sine of the angle at which light meets it,
    float64 [N] in 0..1.

    The plane z = a x + b y + c is fitted to the lowest tenth of the points within 40 m, then three times to what lies
    within 0.25 m of it. With fewer than 10 points nothing is ground.
    """
    xyz_N3 = points_N5[:, :3].astype(np.float64)
    is_near_N = np.hypot(xyz_N3[:, 0], xyz_N3[:, 1]) < _GROUND_REACH_M
    nothing_N, full_N = np.zeros(len(points_N5), bool), np.ones(len(points_N5))
    if is_near_N.sum() < 10:
        return nothing_N, full_N
    is_used_N = is_near_N & (xyz_N3[:, 2] <= np.quantile(xyz_N3[is_near_N, 2], 0.1))
    columns_N3 = np.column_stack([xyz_N3[:, :2], full_N])
    for _ in range(3):
        slope_3, *_ = np.linalg.lstsq(columns_N3[is_used_N], xyz_N3[is_used_N, 2], rcond=None)
        height_N = xyz_N3[:, 2] - columns_N3 @ slope_3
        is_used_N = is_near_N & (np.abs(height_N) < _GROUND_BAND_M)
        if is_used_N.sum() < 3:
            return nothing_N, full_N
    normal_3 = np.array([-slope_3[0], -slope_3[1], 1.0]) / np.sqrt(slope_3[0] ** 2 + slope_3[1] ** 2 + 1)
    sine_N = np.abs(xyz_N3 @ normal_3) / np.maximum(ranges(points_N5), 1e-9)
    return np.abs(height_N) < _GROUND_BAND_M, np.clip(sine_N, 0, 1)
