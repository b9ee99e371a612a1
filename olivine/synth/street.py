"""The plan of one street: which surface lies where, in street coordinates, and the way from there to the map.

Street coordinates: `s` metres along the main road, `t` metres to its left. The road may bend (an arc of a circle), side
roads cross it. The ground is a grid of rectangles in (s, t), each with one surface; S rows along s, T columns along t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from olivine.synth.arrays import F64, I64

HALF_WIDTH_M: Final = 88.0
BEHIND_M, AHEAD_M = 110.0, 140.0


class Surface(IntEnum):
    """Kinds of ground. The first four are all driveable."""

    ROAD = 0
    SOLID_LINE = 1
    DASHED_LINE = 2
    ZEBRA = 3
    SIDEWALK = 4
    TERRAIN = 5
    OTHER_FLAT = 6


DRIVEABLE: Final = frozenset({Surface.ROAD, Surface.SOLID_LINE, Surface.DASHED_LINE, Surface.ZEBRA})


@dataclass(frozen=True)
class Lane:
    """A strip for vehicles: its middle (t), width, and whether it runs towards +s (1) or -s (-1)."""

    t_m: float
    width_m: float
    direction: int
    parking: bool = False


@dataclass(frozen=True)
class Crossing:
    """A side road that crosses at `s_m`."""

    s_m: float
    width_m: float


@dataclass(frozen=True)
class Band:
    """A strip of one surface between two values of t."""

    t_low_m: float
    t_high_m: float
    surface: Surface


@dataclass(frozen=True)
class Lot:
    """A rectangle of another surface beside the road: a car park, a square, a lawn."""

    s_low_m: float
    s_high_m: float
    t_low_m: float
    t_high_m: float
    surface: Surface


@dataclass
class Street:
    """One street. `side_t_m` is where each side's building land begins: (right, negative; left, positive)."""

    curvature_per_m: float
    heading_rad: float
    origin_xy_m: tuple[float, float]
    travel_m: float
    lanes: list[Lane]
    ego_lane: int
    bands: list[Band]
    crossings: list[Crossing]
    sidewalk_m: float
    side_t_m: tuple[float, float]
    lots: list[Lot] = field(default_factory=list)
    heights_m: dict[Surface, float] = field(default_factory=dict)
    bank_slope: float = 0.0

    @property
    def s_range_m(self) -> tuple[float, float]:
        """First and last s of the modelled ground."""
        return -BEHIND_M, self.travel_m + AHEAD_M

    def to_map(self, s: float, t: float) -> tuple[float, float, float]:
        """(x, y, heading of the road) on the map of one street position."""
        xy = self.to_map_many(np.array([[s, t]]))[0]
        return float(xy[0]), float(xy[1]), self.heading_rad + self.curvature_per_m * s

    def to_map_many(self, st_N2: F64) -> F64:
        """Map positions [N, 2] of street positions [N, 2], both in metres."""
        s, t, k = st_N2[:, 0], st_N2[:, 1], self.curvature_per_m
        if abs(k) < 1e-9:
            x, y = s, t
        else:
            x = (1.0 / k - t) * np.sin(k * s)
            y = 1.0 / k - (1.0 / k - t) * np.cos(k * s)
        cos, sin = math.cos(self.heading_rad), math.sin(self.heading_rad)
        return np.stack([self.origin_xy_m[0] + cos * x - sin * y, self.origin_xy_m[1] + sin * x + cos * y], axis=1)

    def from_map_many(self, xy_N2: F64) -> F64:
        """Street positions [N, 2] of map positions [N, 2], both in metres."""
        cos, sin, k = math.cos(self.heading_rad), math.sin(self.heading_rad), self.curvature_per_m
        dx, dy = xy_N2[:, 0] - self.origin_xy_m[0], xy_N2[:, 1] - self.origin_xy_m[1]
        x, y = cos * dx + sin * dy, -sin * dx + cos * dy
        if abs(k) < 1e-9:
            return np.stack([x, y], axis=1)
        centre_y = 1.0 / k
        radius = np.sqrt(x * x + (y - centre_y) ** 2)
        angle = np.arctan2(x * np.sign(k), (centre_y - y) * np.sign(k))
        return np.stack([angle / k, centre_y - np.sign(k) * radius], axis=1)

    def surface_at(self, st_N2: F64) -> I64:
        """The `Surface` at street positions [N, 2]: bands, over them lots, over them the side roads."""
        s, t = st_N2[:, 0], st_N2[:, 1]
        surface = np.full(len(s), int(Surface.TERRAIN), np.int64)
        for band in self.bands:
            surface[(t >= band.t_low_m) & (t < band.t_high_m)] = band.surface
        on_road = np.isin(surface, [int(x) for x in DRIVEABLE]) | self._in_median(t)
        for lot in self.lots:
            inside = (s >= lot.s_low_m) & (s < lot.s_high_m) & (t >= lot.t_low_m) & (t < lot.t_high_m)
            surface[inside] = lot.surface
        for crossing in self.crossings:
            away = np.abs(s - crossing.s_m) - crossing.width_m / 2
            surface[(away < self.sidewalk_m) & (away >= 0) & ~on_road] = Surface.SIDEWALK
            surface[(away < 0)] = Surface.ROAD
            zebra = on_road & (away >= 1.0) & (away < 4.0)
            surface[zebra] = Surface.ZEBRA
            surface[on_road & (away >= 0.0) & (away < 1.0)] = Surface.ROAD
        return surface

    def _in_median(self, t: F64) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether t lies between the outermost lanes, so that a median counts as part of the road at a crossing."""
        low = min(lane.t_m - lane.width_m / 2 for lane in self.lanes)
        high = max(lane.t_m + lane.width_m / 2 for lane in self.lanes)
        return (t >= low) & (t < high)

    def bank_m(self, t_N: F64) -> F64:
        """Rise [N] of open terrain away from the road, in metres."""
        right, left = self.side_t_m
        beyond = np.maximum(np.maximum(t_N - left, right - t_N), 0.0)
        return np.minimum(beyond, 45.0) * self.bank_slope
