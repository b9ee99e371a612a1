"""Draws the plan of one street: lanes, median, pavements, side roads, lots, bends."""

from __future__ import annotations

import math

import numpy as np

from olivine.synth.street import BEHIND_M, HALF_WIDTH_M, Band, Crossing, Lane, Lot, Street, Surface

LINE_M = 0.13


def draw_street(rng: np.random.Generator, travel_m: float) -> Street:
    """A street on which the ego vehicle can drive `travel_m` metres from s = 0."""
    lane_m = rng.uniform(3.1, 3.7)
    keeps = int(rng.choice([-1, 1], p=[0.7, 0.3]))
    lanes, bands = _roadway(rng, lane_m, keeps)
    sidewalk_m = rng.uniform(1.6, 4.2)
    right_t = _roadside(rng, bands, sidewalk_m, -1)
    left_t = _roadside(rng, bands, sidewalk_m, 1)
    radius_m = rng.uniform(260.0, 700.0)
    curvature = 0.0 if rng.random() < 0.35 else float(rng.choice([-1, 1])) / radius_m
    ours = [i for i, lane in enumerate(lanes) if lane.direction == 1 and not lane.parking]
    street = Street(
        curvature_per_m=curvature,
        heading_rad=rng.uniform(-math.pi, math.pi),
        origin_xy_m=(0.0, 0.0),
        travel_m=travel_m,
        lanes=lanes,
        ego_lane=int(rng.choice(ours)),
        bands=bands,
        crossings=_crossings(rng, travel_m),
        sidewalk_m=sidewalk_m,
        side_t_m=(right_t, left_t),
        heights_m=_heights(rng),
        bank_slope=float(rng.choice([0.0, rng.uniform(0.0, 0.06)])),
    )
    street.lots.extend(_lots(rng, street))
    return _moved_to_positive(street)


def _heights(rng: np.random.Generator) -> dict[Surface, float]:
    kerb = rng.uniform(0.08, 0.18)
    road = {Surface.ROAD: 0.0, Surface.SOLID_LINE: 0.0, Surface.DASHED_LINE: 0.0, Surface.ZEBRA: 0.0}
    return road | {
        Surface.SIDEWALK: kerb,
        Surface.TERRAIN: rng.uniform(0.04, 0.2),
        Surface.OTHER_FLAT: rng.uniform(0.04, 0.16),
    }


def _roadway(rng: np.random.Generator, lane_m: float, keeps: int) -> tuple[list[Lane], list[Band]]:
    """Lanes and road bands from the middle outwards; `keeps` is -1 where traffic keeps right."""
    median_m = rng.uniform(1.0, 4.0) if rng.random() < 0.35 else 0.3
    lanes: list[Lane] = []
    bands: list[Band] = []
    if median_m > 0.3:
        kind = Surface(rng.choice([Surface.OTHER_FLAT, Surface.TERRAIN], p=[0.5, 0.5]))
        bands.append(Band(-median_m / 2, median_m / 2, kind))
    else:
        bands += [Band(-0.15, -0.02, Surface.SOLID_LINE), Band(0.02, 0.15, Surface.SOLID_LINE)]
        bands.append(Band(-0.02, 0.02, Surface.ROAD))
    for side in (-1, 1):
        edge = median_m / 2
        count = int(rng.choice([1, 2, 3], p=[0.4, 0.45, 0.15]))
        for number in range(count):
            middle = edge + lane_m / 2
            lanes.append(Lane(side * middle, lane_m, 1 if side == keeps else -1))
            bands.append(_band(side, edge, edge + lane_m, Surface.ROAD))
            edge += lane_m
            line = Surface.DASHED_LINE if number < count - 1 else Surface.SOLID_LINE
            bands.append(_band(side, edge, edge + LINE_M, line))
            edge += LINE_M
        if rng.random() < 0.6:
            lanes.append(Lane(side * (edge + 1.25), 2.4, 1 if side == keeps else -1, parking=True))
            bands.append(_band(side, edge, edge + 2.5, Surface.ROAD))
        else:
            bands.append(_band(side, edge, edge + rng.uniform(0.3, 1.2), Surface.ROAD))
    return lanes, bands


def _roadside(rng: np.random.Generator, bands: list[Band], sidewalk_m: float, side: int) -> float:
    """Appends verge, pavement and front garden of one side; returns the t where building land begins."""
    edge = max(side * (band.t_high_m if side > 0 else band.t_low_m) for band in bands)
    verge = float(rng.uniform(0.8, 3.5)) if rng.random() < 0.5 else 0.0
    if verge:
        kind = Surface(rng.choice([Surface.TERRAIN, Surface.OTHER_FLAT], p=[0.92, 0.08]))
        bands.append(_band(side, edge, edge + verge, kind))
    edge += verge
    if rng.random() < 0.9:
        bands.append(_band(side, edge, edge + sidewalk_m, Surface.SIDEWALK))
        edge += sidewalk_m
    return side * edge


def _band(side: int, near_m: float, far_m: float, surface: Surface) -> Band:
    return Band(near_m, far_m, surface) if side > 0 else Band(-far_m, -near_m, surface)


def _crossings(rng: np.random.Generator, travel_m: float) -> list[Crossing]:
    """About one side road in 90 metres, none closer than 35 m to another."""
    crossings: list[Crossing] = []
    s = -BEHIND_M + rng.uniform(5.0, 80.0)
    while s < travel_m + 100.0:
        crossings.append(Crossing(float(s), rng.uniform(6.0, 11.0)))
        s += 40.0 + rng.exponential(60.0)
    return crossings


def _lots(rng: np.random.Generator, street: Street) -> list[Lot]:
    """Land between the side roads: lawns, squares, car parks; and small islands of other flat ground at the kerb."""
    lots = []
    s_end = street.s_range_m[1]
    for side, start in zip((-1, 1), street.side_t_m, strict=True):
        s = -BEHIND_M
        while s < s_end:
            length = rng.uniform(22.0, 60.0)
            kinds = [Surface.TERRAIN, Surface.SIDEWALK, Surface.ROAD, Surface.OTHER_FLAT]
            kind = Surface(rng.choice(kinds, p=[0.66, 0.2, 0.11, 0.03]))
            deep = rng.uniform(10.0, 30.0) if kind != Surface.TERRAIN else HALF_WIDTH_M
            low, high = sorted((start, side * min(abs(start) + deep, HALF_WIDTH_M)))
            lots.append(Lot(s, min(s + length, s_end), low, high, kind))
            s += length
    return lots


def _moved_to_positive(street: Street) -> Street:
    """Shifts the map so that the whole ground lies at positive x and y, as a nuScenes map mask needs."""
    s = np.linspace(*street.s_range_m, 60)
    edges = np.concatenate([np.stack([s, np.full_like(s, t)], axis=1) for t in (-HALF_WIDTH_M, HALF_WIDTH_M)])
    low = street.to_map_many(edges).min(axis=0)
    street.origin_xy_m = (float(np.ceil(10.0 - low[0])), float(np.ceil(10.0 - low[1])))
    return street
