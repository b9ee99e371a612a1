"""Fills the sides of the street: buildings, walls, trees, street furniture and people."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from olivine.synth.model import Model
from olivine.synth.plot import OFF_ROAD, OPEN_LAND, ROADWAY, WALKABLE, Plot
from olivine.synth.street import Surface
from olivine.synth.street_things import (
    bicycle,
    bicycle_rack,
    litter_bin,
    motorcycle,
    pedestrian,
    traffic_cone,
    trolley,
)
from olivine.synth.surroundings import (
    building,
    bus_shelter,
    bush,
    fence,
    hedge,
    sign,
    street_light,
    traffic_light,
    tree,
    wall,
)
from olivine.synth.traffic import Density

_REACH_M = 85.0


def add_buildings(rng: np.random.Generator, plot: Plot, density: Density) -> None:
    """A row of buildings on each side, set back a little, and a second row behind them."""
    low, high = plot.street.s_range_m
    main_style = str(rng.choice(["house", "block", "hall"], p=[0.35, 0.45, 0.2]))
    for side in (-1.0, 1.0):
        land = abs(plot.street.side_t_m[int(side > 0)])
        for row_t, share in ((land + rng.uniform(0.5, 6.0), 1.0 - 0.4 * density.green), (land + 42.0, 0.75)):
            s = low
            while s < high:
                style = main_style if rng.random() < 0.7 else str(rng.choice(["house", "block", "hall"]))
                length = rng.uniform(8.0, 16.0) if style == "house" else rng.uniform(12.0, 34.0)
                if rng.random() < share:
                    depth = rng.uniform(8.0, 14.0)
                    model = building(rng, length, depth, style)
                    t = side * (row_t + depth / 2 + rng.uniform(0.5, 2.5))
                    plot.place(model, s + length / 2, t, rng.normal(0.0, 0.02), OFF_ROAD)
                s += length + rng.exponential(3.5) + 0.8


def add_boundaries(rng: np.random.Generator, plot: Plot) -> None:
    """Walls, fences and hedges where building land begins."""
    makers: list[Callable[[np.random.Generator, float], Model]] = [wall, fence, hedge]
    for side in (-1.0, 1.0):
        s = -_REACH_M
        while s < plot.street.travel_m + _REACH_M:
            length = rng.uniform(4.0, 14.0)
            if rng.random() < 0.65:
                model = makers[int(rng.choice(3, p=[0.25, 0.3, 0.45]))](rng, length)
                t = plot.street.side_t_m[int(side > 0)] + side * rng.uniform(0.5, 2.5)
                plot.place(model, s + length / 2, t, 0.0, OPEN_LAND)
            s += length + rng.exponential(4.0)


def add_plants(rng: np.random.Generator, plot: Plot, density: Density) -> None:
    """Trees along the road, then trees and bushes anywhere on open land."""
    street = plot.street
    for side in (-1.0, 1.0):
        t_line = street.side_t_m[int(side > 0)] - side * rng.uniform(0.5, 6.0)
        s = -_REACH_M
        while s < street.travel_m + _REACH_M:
            if rng.random() < density.green:
                plot.place(tree(rng), s, t_line + rng.normal(0.0, 0.2), rng.uniform(-math.pi, math.pi), OFF_ROAD)
            s += rng.uniform(4.5, 9.5)
    area_units = (street.travel_m + 2 * _REACH_M) / 100.0
    for maker, count in ((tree, 90.0), (bush, 90.0)):
        for _ in range(rng.poisson(count * density.green * area_units)):
            s, t = _anywhere_beside(rng, plot)
            if plot.is_on(s, t, OPEN_LAND):
                plot.place(maker(rng), s, t, rng.uniform(-math.pi, math.pi), OPEN_LAND)


def add_furniture(rng: np.random.Generator, plot: Plot) -> None:
    """Lamps, signs, signals, shelters, racks, bins."""
    street = plot.street
    for side in (-1.0, 1.0):
        kerb_t = _kerb(plot, side)
        facing = 0.0 if side < 0 else math.pi
        for s in np.arange(-_REACH_M + rng.uniform(0.0, 20.0), street.travel_m + _REACH_M, rng.uniform(22.0, 34.0)):
            plot.place(street_light(rng), float(s), kerb_t, facing, OFF_ROAD)
        for maker, per_100_m in ((sign, 3.5), (litter_bin, 0.8), (bus_shelter, 0.5), (bicycle_rack, 0.3)):
            for _ in range(rng.poisson(per_100_m * (street.travel_m + 2 * _REACH_M) / 100.0)):
                s = rng.uniform(-_REACH_M, street.travel_m + _REACH_M)
                t = kerb_t + side * (0.3 if maker is sign else rng.uniform(0.6, 2.6))
                plot.place(maker(rng), s, t, facing + float(rng.choice([0.0, math.pi])) * (maker is sign), OFF_ROAD)
        for crossing in street.crossings:
            for sign_s in (-1.0, 1.0):
                s = crossing.s_m + sign_s * (crossing.width_m / 2 + 0.6)
                plot.place(traffic_light(rng), s, kerb_t + side * 0.2, facing, OFF_ROAD)


def add_people(rng: np.random.Generator, plot: Plot, density: Density) -> None:
    """People in loose groups on the pavements and squares, a few on the zebra crossings, parked two-wheelers."""
    street = plot.street
    num_groups = rng.poisson(density.people * (street.travel_m + 2 * _REACH_M) / 100.0)
    for _ in range(num_groups):
        s, t = _on_pavement(rng, plot)
        for _ in range(int(rng.integers(1, 4))):
            offset_s, offset_t = rng.normal(0.0, 0.8, 2)
            plot.place(pedestrian(rng), s + offset_s, t + offset_t, rng.uniform(-math.pi, math.pi), WALKABLE)
    for crossing in street.crossings:
        for _ in range(rng.poisson(0.4 + 0.1 * density.people)):
            s = crossing.s_m + float(rng.choice([-1.0, 1.0])) * (crossing.width_m / 2 + 2.5)
            t = rng.uniform(street.side_t_m[0], street.side_t_m[1])
            plot.place(pedestrian(rng), s, t, math.pi / 2, ROADWAY)
    for maker, per_100_m in ((bicycle, 4.0), (motorcycle, 2.0), (trolley, 0.3), (traffic_cone, 1.5)):
        for _ in range(rng.poisson(per_100_m * (street.travel_m + 2 * _REACH_M) / 100.0)):
            s, t = _on_pavement(rng, plot)
            plot.place(maker(rng), s, t, rng.uniform(-math.pi, math.pi), OFF_ROAD)


def _anywhere_beside(rng: np.random.Generator, plot: Plot) -> tuple[float, float]:
    side = int(rng.integers(0, 2))
    reach = abs(plot.street.side_t_m[side]) + min(rng.exponential(18.0) + 0.5, 65.0)
    return rng.uniform(-_REACH_M, plot.street.travel_m + _REACH_M), reach if side else -reach


def _on_pavement(rng: np.random.Generator, plot: Plot) -> tuple[float, float]:
    """A position on a pavement strip, or in a paved square."""
    strips = [(b.t_low_m, b.t_high_m) for b in plot.street.bands if b.surface == Surface.SIDEWALK]
    squares = [(lot.t_low_m, lot.t_high_m) for lot in plot.street.lots if lot.surface == Surface.SIDEWALK]
    choices = strips * 4 + squares or [(plot.street.side_t_m[1], plot.street.side_t_m[1] + 3.0)]
    low, high = choices[int(rng.integers(0, len(choices)))]
    return rng.uniform(-_REACH_M, plot.street.travel_m + _REACH_M), rng.uniform(low, high)


def _kerb(plot: Plot, side: float) -> float:
    """t of the line where lamps and signs stand: just outside the roadway."""
    edge = max(side * lane.t_m + lane.width_m / 2 for lane in plot.street.lanes)
    road = [max(side * b.t_low_m, side * b.t_high_m) for b in plot.street.bands if b.surface == Surface.ROAD]
    return side * (max([edge, *road]) + 0.45)
