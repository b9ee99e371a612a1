"""The ground as a mesh: one quad a cell of the street's plan, kerbs between surfaces of different height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from olivine.synth.appearance import (
    Finish,
    Pattern,
    any_leaf,
    any_reflectance,
    any_soil,
    grey,
    hsv,
)
from olivine.synth.arrays import F64, I64, Bool
from olivine.synth.primitives import Patch, quads
from olivine.synth.street import DRIVEABLE, HALF_WIDTH_M, Street, Surface

FINE_STEP_M, TERRAIN_STEP_M = 4.0, 3.0
RAW_OF_SURFACE = {
    Surface.ROAD: 24,
    Surface.SOLID_LINE: 24,
    Surface.DASHED_LINE: 24,
    Surface.ZEBRA: 24,
    Surface.SIDEWALK: 26,
    Surface.TERRAIN: 27,
    Surface.OTHER_FLAT: 25,
}


@dataclass(frozen=True)
class GroundPart:
    """Connected ground of one class: a patch per finish."""

    raw_category: int
    parts: list[tuple[Patch, Finish]]


@dataclass(frozen=True)
class _Grid:
    s_S1: F64
    t_T1: F64
    surface_ST: I64
    region_ST: I64


def build_ground(rng: np.random.Generator, street: Street) -> list[GroundPart]:
    """All ground of a street, one part for every connected region of one class."""
    grid = _make_grid(street)
    finishes = _finishes(rng)
    base_ST = np.vectorize(lambda kind: street.heights_m[Surface(kind)], otypes=[np.float64])(grid.surface_ST)
    corners_ST43, street_ST42 = _cell_corners(rng, street, grid, base_ST)
    kerbs, kerb_owner = _kerbs(street, grid, base_ST)
    parts = []
    for region in range(int(grid.region_ST.max()) + 1):
        mine_ST = grid.region_ST == region
        kinds = [Surface(int(kind)) for kind in np.unique(grid.surface_ST[mine_ST])]
        pieces = []
        for kind in kinds:
            cells = mine_ST & (grid.surface_ST == kind)
            pieces.append((quads(corners_ST43[cells], street_ST42[cells]), finishes[kind]))
        edge = kerbs[kerb_owner == region]
        if len(edge):
            pieces.append(
                (quads(edge), finishes[Surface.SIDEWALK] if kinds[0] != Surface.TERRAIN else finishes[kinds[0]])
            )
        parts.append(GroundPart(RAW_OF_SURFACE[kinds[0]], pieces))
    parts.append(_far_plain(street, finishes[Surface.TERRAIN]))
    return parts


def _make_grid(street: Street) -> _Grid:
    s_low, s_high = street.s_range_m
    s_edges = [*np.arange(s_low, s_high, FINE_STEP_M), s_high]
    for crossing in street.crossings:
        half = crossing.width_m / 2
        offsets = (half, half + 1.0, half + 4.0, half + street.sidewalk_m)
        s_edges += [crossing.s_m + sign * offset for offset in offsets for sign in (-1, 1)]
    s_edges += [edge for lot in street.lots for edge in (lot.s_low_m, lot.s_high_m)]
    t_edges = [*np.arange(-HALF_WIDTH_M, HALF_WIDTH_M, TERRAIN_STEP_M), HALF_WIDTH_M]
    t_edges += [edge for band in street.bands for edge in (band.t_low_m, band.t_high_m)]
    t_edges += [edge for lot in street.lots for edge in (lot.t_low_m, lot.t_high_m)]
    s_S1, t_T1 = _distinct(s_edges, s_low, s_high), _distinct(t_edges, -HALF_WIDTH_M, HALF_WIDTH_M)
    s_mid, t_mid = (s_S1[:-1] + s_S1[1:]) / 2, (t_T1[:-1] + t_T1[1:]) / 2
    middles = np.stack(np.meshgrid(s_mid, t_mid, indexing="ij"), axis=-1).reshape(-1, 2)
    surface_ST = street.surface_at(middles).reshape(len(s_mid), len(t_mid))
    return _Grid(s_S1, t_T1, surface_ST, _regions(np.where(_is_driveable(surface_ST), 0, surface_ST)))


def _distinct(edges: list[float], low: float, high: float) -> F64:
    """Sorted edges within the range; edges closer than a micrometre count as one."""
    rounded: F64 = np.unique(np.round(np.array(edges, np.float64), 6))
    return rounded[(rounded >= low) & (rounded <= high)]


def _is_driveable(surface_ST: I64) -> Bool:
    return np.isin(surface_ST, [int(kind) for kind in DRIVEABLE])


def _regions(kind_ST: I64) -> I64:
    """Numbers the 4-connected regions of equal kind from 0."""
    region_ST = np.full(kind_ST.shape, -1, np.int64)
    rows, columns = kind_ST.shape
    count = 0
    for start in np.ndindex(rows, columns):
        if region_ST[start] >= 0:
            continue
        region_ST[start] = count
        stack = [start]
        while stack:
            row, column = stack.pop()
            for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                inside = 0 <= near[0] < rows and 0 <= near[1] < columns
                if inside and region_ST[near] < 0 and kind_ST[near] == kind_ST[start]:
                    region_ST[near] = count
                    stack.append(near)
        count += 1
    return region_ST


def _cell_corners(rng: np.random.Generator, street: Street, grid: _Grid, base_ST: F64) -> tuple[F64, F64]:
    """Corners of all cells on the map [S, T, 4, 3] and in street coordinates [S, T, 4, 2]."""
    street_vertices = np.stack(np.meshgrid(grid.s_S1, grid.t_T1, indexing="ij"), axis=-1)
    flat = street_vertices.reshape(-1, 2)
    map_vertices = street.to_map_many(flat).reshape(street_vertices.shape)
    terrain_ST = grid.surface_ST == Surface.TERRAIN
    padded = np.pad(terrain_ST, 1, constant_values=True)
    # A vertex may move only where all four cells around it are terrain: edges to paving stay closed.
    free = padded[:-1, :-1] & padded[1:, :-1] & padded[:-1, 1:] & padded[1:, 1:]
    rough = np.where(free, rng.normal(0.0, 0.07, free.shape), 0.0)
    rough += np.where(free, street.bank_m(flat[:, 1]).reshape(free.shape), 0.0)
    height_ST4 = base_ST[..., None] + np.where(terrain_ST[..., None], _corners(rough[..., None])[..., 0], 0.0)
    corners = np.concatenate([_corners(map_vertices), height_ST4[..., None]], axis=-1)
    return corners, _corners(street_vertices)


def _corners(vertices_S1T1D: F64) -> F64:
    """Values at the four corners of each cell [S, T, 4, D], counter-clockwise in (s, t)."""
    v = vertices_S1T1D
    return np.stack([v[:-1, :-1], v[1:, :-1], v[1:, 1:], v[:-1, 1:]], axis=2)


def _kerbs(street: Street, grid: _Grid, base_ST: F64) -> tuple[F64, I64]:
    """Upright quads [Q, 4, 3] where neighbours differ in height, and the region of the higher one [Q]."""
    vertices = np.stack(np.meshgrid(grid.s_S1, grid.t_T1, indexing="ij"), axis=-1)
    xy = street.to_map_many(vertices.reshape(-1, 2)).reshape(vertices.shape)
    along = (
        base_ST[:, :-1],
        base_ST[:, 1:],
        grid.region_ST[:, :-1],
        grid.region_ST[:, 1:],
        xy[:-1, 1:-1],
        xy[1:, 1:-1],
    )
    across = (base_ST[1:], base_ST[:-1], grid.region_ST[1:], grid.region_ST[:-1], xy[1:-1, :-1], xy[1:-1, 1:])
    found, owners = [], []
    for first, second, first_region, second_region, start, end in (along, across):
        for higher, lower, region, a, b in (
            (first, second, first_region, end, start),
            (second, first, second_region, start, end),
        ):
            step = higher > lower + 1e-6
            low, high = lower[step][:, None], higher[step][:, None]
            a_xy, b_xy = a[step], b[step]
            quad = [np.hstack([a_xy, low]), np.hstack([b_xy, low]), np.hstack([b_xy, high]), np.hstack([a_xy, high])]
            found.append(np.stack(quad, axis=1))
            owners.append(region[step])
    return np.concatenate(found), np.concatenate(owners)


def _far_plain(street: Street, finish: Finish) -> GroundPart:
    """A wide plain a little lower, so that the horizon is ground and not sky."""
    middle = street.to_map_many(np.array([[street.travel_m / 2, 0.0]]))[0]
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * 900.0
    corners = np.hstack([square + middle, np.full((4, 1), -0.5)])[None]
    return GroundPart(RAW_OF_SURFACE[Surface.TERRAIN], [(quads(corners), finish)])


def _finishes(rng: np.random.Generator) -> dict[Surface, Finish]:
    asphalt = hsv(rng.random(), rng.uniform(0.0, 0.08), rng.uniform(0.3, 0.55))
    road = Finish(asphalt, grain=0.22, grain_per_m=24.0, reflectance=any_reflectance(rng, 0.12))
    paint = grey(rng.uniform(0.75, 0.95)) if rng.random() < 0.7 else hsv(0.13, 0.7, 0.85)
    line = Finish(paint, grain=0.25, grain_per_m=24.0, reflectance=any_reflectance(rng, 0.6))
    tile = rng.uniform(0.4, 1.2)
    paving = any_soil(rng) if rng.random() < 0.3 else hsv(rng.random(), rng.uniform(0.0, 0.12), rng.uniform(0.45, 0.75))
    seam = (paving[0] * 0.5, paving[1] * 0.5, paving[2] * 0.5)
    grass = any_leaf(rng) if rng.random() < 0.75 else any_soil(rng)
    island = Pattern(rng.choice([Pattern.DIAGONAL, Pattern.BRICK, Pattern.NONE]))
    island_rgb = hsv(rng.random(), rng.uniform(0.0, 0.35), rng.uniform(0.35, 0.7))
    island_cell = (0.24, 0.12) if island == Pattern.BRICK else (1.6, 1.6)
    dashes = Finish(asphalt, paint, Pattern.DASH, (rng.uniform(5.0, 9.0), 1.0), 0.22, 24.0, line.reflectance)
    return {
        Surface.ROAD: road,
        Surface.SOLID_LINE: line,
        Surface.DASHED_LINE: dashes,
        Surface.ZEBRA: Finish(asphalt, paint, Pattern.STRIPE, (1.0, 1.1), 0.22, 24.0, line.reflectance * 0.6),
        Surface.SIDEWALK: Finish(paving, seam, Pattern.GRID, (tile, tile), 0.12, 18.0, any_reflectance(rng, 0.22)),
        Surface.TERRAIN: Finish(grass, any_soil(rng), Pattern.BLOTCH, (6.0, 6.0), 0.5, 10.0, any_reflectance(rng, 0.3)),
        Surface.OTHER_FLAT: Finish(island_rgb, grey(0.8), island, island_cell, 0.2, 16.0, any_reflectance(rng, 0.2)),
    }
