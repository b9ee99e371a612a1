"""Triangle patches of simple solids, with texture coordinates in metres.

Local frames: x forward, y left, z up. Outer faces are wound counter-clockwise seen from outside.
Shapes: T triangles, Q quads, K vertices of an outline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from olivine.synth.arrays import F32, F64, I64

_QUAD_TRIANGLES = np.array([0, 1, 2, 0, 2, 3])
_QUAD_UV = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])[_QUAD_TRIANGLES].reshape(2, 3, 2)
_BOX_QUADS = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7], [3, 2, 1, 0]])
_BOX_TRIANGLES = _BOX_QUADS[:, _QUAD_TRIANGLES].reshape(12, 3)
_BOX_UV = np.tile(_QUAD_UV, (6, 1, 1))
_AXIS_ORDER = {"z": [0, 1, 2], "x": [2, 0, 1], "y": [1, 2, 0]}


@dataclass(frozen=True)
class Patch:
    """Triangles [T, 3 corners, 3] in metres and their texture coordinates [T, 3 corners, 2] in metres."""

    triangles_T33: F32
    uv_T32: F32

    def shifted(self, offset_m: tuple[float, float, float]) -> Patch:
        """The patch moved without turning."""
        return Patch(self.triangles_T33 + np.array(offset_m, np.float32), self.uv_T32)


def quads(corners_Q43: F64, uv_Q42: F64 | None = None) -> Patch:
    """Two triangles a quad; without `uv_Q42`, u runs along corners 0-1 and v along corners 0-3, from zero."""
    if uv_Q42 is None:
        along = np.sqrt(((corners_Q43[:, 1] - corners_Q43[:, 0]) ** 2).sum(axis=1))
        across = np.sqrt(((corners_Q43[:, 3] - corners_Q43[:, 0]) ** 2).sum(axis=1))
        zero = np.zeros_like(along)
        u_Q4, v_Q4 = np.stack([zero, along, along, zero], axis=1), np.stack([zero, zero, across, across], axis=1)
        uv_Q42 = np.stack([u_Q4, v_Q4], axis=2)
    return Patch(
        corners_Q43[:, _QUAD_TRIANGLES].reshape(-1, 3, 3).astype(np.float32),
        uv_Q42[:, _QUAD_TRIANGLES].reshape(-1, 3, 2).astype(np.float32),
    )


def box(
    size_m: tuple[float, float, float],
    centre_m: tuple[float, float, float],
    taper: tuple[float, float] = (1.0, 1.0),
    lean_m: float = 0.0,
) -> Patch:
    """A box (12 triangles) whose top may be smaller (`taper` in x and y) and moved forward by `lean_m`.

    `centre_m` is the middle of the BOTTOM face.
    """
    half_x, half_y, height = size_m[0] / 2, size_m[1] / 2, size_m[2]
    top_x, top_y = half_x * taper[0], half_y * taper[1]
    corners = np.array(
        [
            [-half_x, -half_y, 0.0],
            [half_x, -half_y, 0.0],
            [half_x, half_y, 0.0],
            [-half_x, half_y, 0.0],
            [lean_m - top_x, -top_y, height],
            [lean_m + top_x, -top_y, height],
            [lean_m + top_x, top_y, height],
            [lean_m - top_x, top_y, height],
        ]
    ) + np.array(centre_m)
    length, width = size_m[0], size_m[1]
    sides = [(length, height), (width, height)] * 2
    extent_62 = np.array([*sides, (length * taper[0], width * taper[1]), (length, width)])
    uv = _BOX_UV * extent_62.repeat(2, axis=0)[:, None]
    return Patch(corners[_BOX_TRIANGLES].astype(np.float32), uv.astype(np.float32))


def frustum(
    radii_m: tuple[float, float], length_m: float, base_m: tuple[float, float, float], axis: str = "z", sides: int = 8
) -> Patch:
    """A closed cone frustum or cylinder along `axis` ("x", "y" or "z"), starting at `base_m`."""
    ring, faces, unit_uv = _frustum_template(sides)
    low = np.concatenate([ring * radii_m[0], np.zeros((sides, 1))], axis=1)
    high = np.concatenate([ring * radii_m[1], np.full((sides, 1), length_m)], axis=1)
    vertices = np.concatenate([low, high])[:, _AXIS_ORDER[axis]] + np.array(base_m)
    uv = unit_uv * np.array([2.0 * math.pi * max(radii_m), length_m])
    return Patch(vertices[faces].astype(np.float32), uv.astype(np.float32))


@cache
def _frustum_template(sides: int) -> tuple[F64, I64, F64]:
    """Unit circle [sides, 2], faces [T, 3] over its low and high copies, texture coordinates [T, 3, 2] in 0..1."""
    angle = np.arange(sides) * (2.0 * math.pi / sides)
    here = np.arange(sides)
    following = np.roll(here, -1)
    side = np.stack([here, following, following + sides, here + sides], axis=1)[:, _QUAD_TRIANGLES].reshape(-1, 3)
    fan = np.stack([np.zeros(sides - 2, np.int64), here[1:-1], here[2:]], axis=1)
    side_uv = np.tile(_QUAD_UV, (sides, 1, 1)) / np.array([sides, 1.0])
    side_uv[..., 0] += (here / sides).repeat(2)[:, None]
    uv = np.concatenate([side_uv, np.zeros((2 * (sides - 2), 3, 2))])
    return np.stack([np.cos(angle), np.sin(angle)], axis=1), np.concatenate([side, fan[:, ::-1], fan + sides]), uv


def annulus(radius_m: float, width_m: float, centre_m: tuple[float, float, float], sides: int = 14) -> Patch:
    """A flat ring in the x-z plane (a thin tyre seen from the side): meant for two-sided finishes."""
    angle = np.arange(sides) * (2.0 * math.pi / sides)
    ring = np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], axis=1)
    outer, inner = ring * radius_m, ring * (radius_m - width_m)
    following = np.roll(np.arange(sides), -1)
    return quads(np.stack([outer, outer[following], inner[following], inner], axis=1) + np.array(centre_m))


def bar(start_m: tuple[float, float, float], end_m: tuple[float, float, float], width_m: float) -> Patch:
    """A square bar between two points (four long faces), for frames, rails and arms."""
    start, end = np.array(start_m), np.array(end_m)
    way = end - start
    length = math.sqrt(float(way @ way))
    x, y, z = (float(c) / length for c in way)
    side = np.array([-z, 0.0, x]) if abs(y) < 0.9 else np.array([0.0, z, -y])
    side *= width_m / 2 / math.sqrt(float(side @ side))
    other = np.array([y * side[2] - z * side[1], z * side[0] - x * side[2], x * side[1] - y * side[0]])
    offsets = np.stack([-side - other, side - other, side + other, other - side])
    vertices = np.concatenate([start + offsets, end + offsets])
    uv = _BOX_UV[:8] * np.array([width_m, length])
    return Patch(vertices[_BOX_TRIANGLES[:8]].astype(np.float32), uv.astype(np.float32))


def blob(radii_m: tuple[float, float, float], centre_m: tuple[float, float, float], bumps_V: F64) -> Patch:
    """A bumpy ellipsoid of 80 triangles; `bumps_V` [42] scales its vertices' radii."""
    vertices, faces, uv_T32 = _icosphere()
    scaled = vertices * bumps_V[:, None] * np.array(radii_m) + np.array(centre_m)
    return Patch(scaled[faces].astype(np.float32), uv_T32 * np.float32(max(radii_m)))


def gable_roof(size_m: tuple[float, float, float], centre_m: tuple[float, float, float]) -> Patch:
    """A ridge roof along x over a rectangle (length, width, rise); `centre_m` is the middle of its base."""
    return box(size_m, centre_m, taper=(1.0, 0.02))


@cache
def _icosphere() -> tuple[F64, I64, F32]:
    """Unit vertices [42, 3], faces [80, 3] and texture coordinates [80, 3, 2] of an icosahedron split once."""
    golden = (1.0 + math.sqrt(5.0)) / 2.0
    points = [
        *((-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0)),
        *((0, -1, golden), (0, 1, golden), (0, -1, -golden), (0, 1, -golden)),
        *((golden, 0, -1), (golden, 0, 1), (-golden, 0, -1), (-golden, 0, 1)),
    ]
    faces = [
        *((0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11)),
        *((1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6), (7, 1, 8)),
        *((3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9)),
        *((4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)),
    ]
    vertices = [np.array(p, np.float64) for p in points]
    middles: dict[tuple[int, int], int] = {}

    def middle(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in middles:
            middles[key] = len(vertices)
            vertices.append((vertices[a] + vertices[b]) / 2.0)
        return middles[key]

    split = []
    for a, b, c in faces:
        ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
        split += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    stacked = np.stack(vertices)
    stacked /= np.sqrt((stacked * stacked).sum(axis=1, keepdims=True))
    index = np.array(split, np.int64)
    return stacked, index, _unwrapped(stacked, index)


def _unwrapped(vertices_V3: F64, faces_T3: I64) -> F32:
    """Texture coordinates [T, 3, 2] of a unit sphere: angle around z, and height."""
    uv_V2 = np.stack([np.arctan2(vertices_V3[:, 1], vertices_V3[:, 0]), 2.0 * vertices_V3[:, 2]], axis=1)
    uv_T32 = uv_V2[faces_T3]
    angle = uv_T32[..., 0]
    # A face across the seam of the angle would smear its texture around the whole ball.
    angle[(np.ptp(angle, axis=1) > math.pi)[:, None] & (angle < 0)] += 2.0 * math.pi
    unwrapped: F32 = uv_T32.astype(np.float32)
    return unwrapped
