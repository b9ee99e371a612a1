"""Fills roads and car parks with vehicles, and closes a piece of road for works now and then."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from olivine.synth.model import Model
from olivine.synth.plot import ANYWHERE, OFF_ROAD, ROADWAY, Plot
from olivine.synth.street import Crossing, Lane, Lot, Street, Surface
from olivine.synth.street_things import (
    WORKER,
    barrier,
    barrier_colours,
    bicycle,
    debris,
    motorcycle,
    pedestrian,
    traffic_cone,
)
from olivine.synth.vehicles import bus, car, construction_vehicle, trailer, truck

_REACH_M = 85.0

_DRIVING: dict[Callable[[np.random.Generator], Model], float] = {
    car: 0.83,
    truck: 0.075,
    bus: 0.016,
    trailer: 0.025,
    motorcycle: 0.04,
    bicycle: 0.025,
}
_PARKED: dict[Callable[[np.random.Generator], Model], float] = {
    car: 0.93,
    truck: 0.03,
    motorcycle: 0.03,
    trailer: 0.01,
}


@dataclass(frozen=True)
class Density:
    """How full one scene is: mean gap between vehicles in metres, share of parking places taken, people in 100 m."""

    gap_m: float
    parked: float
    people: float
    green: float


def draw_density(rng: np.random.Generator) -> Density:
    """Busy and quiet scenes, built-up and green ones."""
    return Density(rng.uniform(22.0, 75.0), rng.uniform(0.05, 0.5), rng.uniform(2.0, 14.0), rng.uniform(0.35, 1.0))


def add_traffic(rng: np.random.Generator, plot: Plot, density: Density) -> None:
    """Vehicles in all lanes, at the kerb, in side roads and in car parks."""
    for lane in plot.street.lanes:
        if lane.parking:
            _fill_parking_lane(rng, plot, lane, density)
        else:
            _fill_lane(rng, plot, lane, density)
    for crossing in plot.street.crossings:
        _fill_side_road(rng, plot, crossing, density)
    for lot in plot.street.lots:
        if lot.surface == Surface.ROAD:
            _fill_car_park(rng, plot, lot, density)


def add_road_works(rng: np.random.Generator, plot: Plot) -> None:
    """A row of barriers with cones, machines and workers behind it; and, in some scenes, barriers along the median."""
    street = plot.street
    if rng.random() < 0.55:
        _close_roadside(rng, plot)
    if rng.random() < 0.15:
        kind = str(rng.choice(["concrete", "plastic"]))
        start = rng.uniform(-50.0, street.travel_m + 10.0)
        _barrier_row(rng, plot, kind, start, rng.uniform(15.0, 50.0), 0.0, OFF_ROAD)


def _pick(rng: np.random.Generator, kinds: dict[Callable[[np.random.Generator], Model], float]) -> Model:
    makers = list(kinds)
    weights = np.array(list(kinds.values()))
    return makers[int(rng.choice(len(makers), p=weights / weights.sum()))](rng)


def _span(street: Street) -> tuple[float, float]:
    return -_REACH_M, street.travel_m + _REACH_M


def _fill_lane(rng: np.random.Generator, plot: Plot, lane: Lane, density: Density) -> None:
    s, end = _span(plot.street)
    heading = 0.0 if lane.direction > 0 else math.pi
    while s < end:
        model = _pick(rng, _DRIVING)
        length = model.claimed_ground.length_m
        middle = s + length / 2
        t = lane.t_m + rng.normal(0.0, 0.15)
        placed = plot.place(model, middle, t, heading + rng.normal(0.0, 0.02), ROADWAY)
        s += length
        if placed and model.raw_category == 23 and rng.random() < 0.25:
            towed = trailer(rng)
            half = length / 2 + 0.7 + towed.claimed_ground.length_m / 2
            plot.place(towed, middle - lane.direction * half, t, heading, ROADWAY)
        s += 3.0 + rng.exponential(density.gap_m)


def _fill_parking_lane(rng: np.random.Generator, plot: Plot, lane: Lane, density: Density) -> None:
    s, end = _span(plot.street)
    heading = 0.0 if lane.direction > 0 else math.pi
    while s < end:
        if rng.random() > density.parked:
            s += 5.5
            continue
        model = _pick(rng, _PARKED)
        length = model.claimed_ground.length_m
        t = lane.t_m + rng.normal(0.0, 0.06)
        plot.place(model, s + length / 2, t, heading + rng.normal(0.0, 0.03), ROADWAY)
        s += length + rng.uniform(0.6, 1.6)


def _fill_side_road(rng: np.random.Generator, plot: Plot, crossing: Crossing, density: Density) -> None:
    for side in (-1.0, 1.0):
        for heading in (-1.0, 1.0):
            t = abs(plot.street.side_t_m[int(side > 0)]) + rng.exponential(density.gap_m)
            while t < 70.0:
                model = _pick(rng, _DRIVING)
                s = crossing.s_m + heading * crossing.width_m / 4
                plot.place(model, s, side * t, heading * math.pi / 2 + rng.normal(0.0, 0.03), ROADWAY)
                t += model.claimed_ground.length_m + 2.0 + rng.exponential(density.gap_m)


def _fill_car_park(rng: np.random.Generator, plot: Plot, lot: Lot, density: Density) -> None:
    rows = np.arange(lot.t_low_m + 3.0, lot.t_high_m - 2.5, 8.0)
    for t in rows:
        for s in np.arange(lot.s_low_m + 2.0, lot.s_high_m - 1.5, 2.8):
            if rng.random() < 0.1 + 0.45 * density.parked:
                heading = float(rng.choice([-1.0, 1.0])) * math.pi / 2 + rng.normal(0.0, 0.03)
                plot.place(_pick(rng, _PARKED), float(s), float(t) + rng.normal(0.0, 0.2), heading, ROADWAY)


def _close_roadside(rng: np.random.Generator, plot: Plot) -> None:
    street = plot.street
    side = float(rng.choice([-1.0, 1.0]))
    edge = _road_edge(street, side)
    start, length = rng.uniform(-15.0, street.travel_m + 25.0), rng.uniform(14.0, 32.0)
    kind = str(rng.choice(["concrete", "plastic", "board"]))
    inner = side * (edge - rng.uniform(0.4, 2.2))
    _barrier_row(rng, plot, kind, start, length, inner, ANYWHERE)
    for step in range(int(rng.integers(4, 9))):
        plot.place(traffic_cone(rng), start - 1.5 - 1.8 * step, inner + side * (0.25 * step - 0.5))
    for _ in range(int(rng.integers(1, 4))):
        machine = construction_vehicle(rng)
        t = side * (edge + rng.uniform(1.5, 9.0))
        plot.place(machine, start + rng.uniform(0.0, length), t, rng.uniform(-math.pi, math.pi), ANYWHERE)
    for _ in range(int(rng.integers(2, 6))):
        s, t = start + rng.uniform(0.0, length), side * (edge + rng.uniform(-0.5, 7.0))
        plot.place(pedestrian(rng, WORKER), s, t, rng.uniform(-math.pi, math.pi))
        plot.place(debris(rng), s + rng.uniform(1.0, 3.0), t, rng.uniform(-math.pi, math.pi), OFF_ROAD)


def _barrier_row(
    rng: np.random.Generator, plot: Plot, kind: str, start_s: float, length_m: float, t: float, on: frozenset[Surface]
) -> None:
    colours = barrier_colours(rng, kind)
    for number, s in enumerate(np.arange(start_s, start_s + length_m, 2.05)):
        plot.place(barrier(rng, kind, colours[number % 2]), float(s), t, rng.normal(0.0, 0.02), on)


def _road_edge(street: Street, side: float) -> float:
    """Distance of the roadway's outer edge from the middle of the street, in metres."""
    return max(side * lane.t_m + lane.width_m / 2 for lane in street.lanes)
