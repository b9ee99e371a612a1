"""Where objects stand: claims ground without overlaps, and keeps the ego vehicle's way free."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from olivine.synth.arrays import F64, U8
from olivine.synth.model import Model, Rectangle
from olivine.synth.street import DRIVEABLE, HALF_WIDTH_M, Street, Surface

CORRIDOR_WIDTH_M: Final = 2.5
_EGO_BEHIND_M, _EGO_AHEAD_M = 4.0, 8.0
_RASTER_STEP_M = 0.5
_GAP_M = 0.1

ROADWAY: Final = DRIVEABLE
WALKABLE: Final = frozenset({Surface.SIDEWALK})
OPEN_LAND: Final = frozenset({Surface.TERRAIN})
OFF_ROAD: Final = frozenset({Surface.SIDEWALK, Surface.TERRAIN, Surface.OTHER_FLAT})
ANYWHERE: Final = OFF_ROAD | ROADWAY


@dataclass(frozen=True)
class Placed:
    """A model on the map: position of its origin in metres, heading in radians, ground it claims."""

    model: Model
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float
    claim: Rectangle


@dataclass
class Plot:
    """The street's ground with everything that stands on it so far."""

    street: Street
    placed: list[Placed] = field(default_factory=list)
    _claims: list[Rectangle] = field(default_factory=list)
    _circles: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._raster_ST = _surface_raster(self.street)
        for rectangle in corridor(self.street):
            self._claim(rectangle)

    def place(self, model: Model, s: float, t: float, yaw_rad: float = 0.0, on: frozenset[Surface] = ANYWHERE) -> bool:
        """Stands `model` at street position (s, t), turned by `yaw_rad` from the road, if the ground is free.

        Every sampled point of its footprint must lie on one of the surfaces `on`. False means: not placed.
        """
        x, y, road_heading = self.street.to_map(s, t)
        yaw = road_heading + yaw_rad
        claim = model.claimed_ground.placed(x, y, yaw)
        if not self._surfaces(claim) <= on or self._is_taken(claim):
            return False
        self._claim(claim)
        self.placed.append(Placed(model, x, y, self.height_at(s, t), yaw, claim))
        return True

    def is_on(self, s: float, t: float, on: frozenset[Surface]) -> bool:
        """Whether a street position lies on one of the surfaces `on`: asked before a costly model is built."""
        kinds = self._look_up(np.array([[s, t]]))
        return bool(len(kinds)) and Surface(int(kinds[0])) in on

    def height_at(self, s: float, t: float) -> float:
        """Ground height in metres at a street position, without the roughness of the terrain."""
        kinds = self._look_up(np.array([[s, t]]))
        surface = Surface(int(kinds[0])) if len(kinds) else Surface.TERRAIN
        bank = float(self.street.bank_m(np.array([t]))[0]) if surface == Surface.TERRAIN else 0.0
        return self.street.heights_m[surface] + bank

    def _surfaces(self, claim: Rectangle) -> set[Surface]:
        corners = claim.corners()
        points = np.concatenate([corners, (corners + np.roll(corners, 1, axis=0)) / 2, corners.mean(axis=0)[None]])
        return {Surface(kind) for kind in set(self._look_up(self.street.from_map_many(points)).tolist())}

    def _look_up(self, st_N2: F64) -> U8:
        """Surfaces at those of the street positions [N, 2] that lie within the modelled ground."""
        row = ((st_N2[:, 0] - self.street.s_range_m[0]) / _RASTER_STEP_M).astype(np.int64)
        column = ((st_N2[:, 1] + HALF_WIDTH_M) / _RASTER_STEP_M).astype(np.int64)
        rows, columns = self._raster_ST.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        found: U8 = self._raster_ST[row[inside], column[inside]]
        return found

    def _is_taken(self, claim: Rectangle) -> bool:
        circles = np.array(self._circles)
        radius = math.hypot(claim.length_m, claim.width_m) / 2 + _GAP_M
        near = np.hypot(circles[:, 0] - claim.x_m, circles[:, 1] - claim.y_m) < circles[:, 2] + radius
        wide = Rectangle(claim.x_m, claim.y_m, claim.length_m + _GAP_M, claim.width_m + _GAP_M, claim.yaw_rad)
        return any(wide.overlaps(self._claims[i]) for i in np.flatnonzero(near))

    def _claim(self, claim: Rectangle) -> None:
        self._claims.append(claim)
        self._circles.append((claim.x_m, claim.y_m, math.hypot(claim.length_m, claim.width_m) / 2))


def corridor(street: Street) -> list[Rectangle]:
    """The strip of 2.5 m width that the ego vehicle sweeps, as rectangles of 2 m length along its lane."""
    lane = street.lanes[street.ego_lane]
    rectangles = []
    for s in np.arange(-_EGO_BEHIND_M, street.travel_m + _EGO_AHEAD_M, 2.0):
        x, y, heading = street.to_map(float(s), lane.t_m)
        rectangles.append(Rectangle(x, y, 2.4, CORRIDOR_WIDTH_M, heading))
    return rectangles


def _surface_raster(street: Street) -> U8:
    s_low, s_high = street.s_range_m
    s = np.arange(s_low, s_high, _RASTER_STEP_M) + _RASTER_STEP_M / 2
    t: F64 = np.arange(-HALF_WIDTH_M, HALF_WIDTH_M, _RASTER_STEP_M) + _RASTER_STEP_M / 2
    points = np.stack(np.meshgrid(s, t, indexing="ij"), axis=-1).reshape(-1, 2)
    return street.surface_at(points).reshape(len(s), len(t)).astype(np.uint8)
