"""Procedural textures: hashed noise and the patterns of `appearance.Pattern`, evaluated for many hits at once.

N hits; texture coordinates are metres on the surface. `footprint_N` is the width of a pixel on the surface in metres:
detail finer than that is left out, so that distant walls do not sparkle.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from olivine.synth.appearance import Pattern
from olivine.synth.arrays import F32, F64, I32, Bool
from olivine.synth.raycast import Hits
from olivine.synth.world import Mesh

_TILE: Final = 512
_OFFSET: Final = np.float32(_TILE * 2048)


def albedo(mesh: Mesh, hits: Hits, footprint_N: F32) -> F32:
    """Linear colour [N, 3] of the surface at each hit (all of them must have hit something)."""
    triangle = hits.triangle_N
    uv = texture_coordinates(mesh, hits)
    amount = pattern_amount(mesh, triangle, uv, footprint_N)
    brightness = 1.0 + mesh.grain_T[triangle] * _grain(mesh, triangle, uv, footprint_N)
    colour = mesh.rgb_T3.take(triangle, axis=0)
    mixed = np.flatnonzero(amount)
    own = colour.take(mixed, axis=0)
    alt = mesh.alt_rgb_T3.take(triangle.take(mixed), axis=0)
    colour[mixed] = own + (alt - own) * amount.take(mixed)[:, None]
    colour *= np.maximum(brightness, 0.05)[:, None]
    return colour


def texture_coordinates(mesh: Mesh, hits: Hits) -> F32:
    """Texture coordinates [N, 2] in metres."""
    first_uv_edges = mesh.uv_T6.take(hits.triangle_N, axis=0)
    u, v = hits.u_N[:, None], hits.v_N[:, None]
    coordinates: F32 = first_uv_edges[:, :2] + first_uv_edges[:, 2:4] * u + first_uv_edges[:, 4:] * v
    return coordinates


def pattern_amount(mesh: Mesh, triangle_N: I32, uv_N2: F32, footprint_N: F32) -> F32:
    """How much of the second colour [N], 0..1, each hit's pattern mixes in."""
    pattern = mesh.pattern_T.take(triangle_N)
    amount = np.zeros(len(triangle_N), np.float32)
    for kind in Pattern:
        where = np.flatnonzero(pattern == kind) if kind != Pattern.NONE else ()
        if len(where) == 0:
            continue
        cell = mesh.cell_T2.take(triangle_N.take(where), axis=0)
        uv = uv_N2.take(where, axis=0) / cell
        p, q = uv[:, 0], uv[:, 1]
        fade = np.clip(1.6 - 3.0 * footprint_N.take(where) / np.minimum(cell[:, 0], cell[:, 1]), 0.0, 1.0)
        amount[where] = _evaluate(kind, p, q) * fade
    return amount


def _evaluate(kind: Pattern, p: F32, q: F32) -> F32:
    """The pattern's value 0..1 at cell coordinates (p, q)."""
    column, row = np.floor(p), np.floor(q)
    fp, fq = p - column, q - row
    if kind == Pattern.WINDOW:
        return _windows(column, row, fp, fq)
    if kind == Pattern.BRICK_WINDOW:
        fine_row = np.floor(q * 30.0)
        joints = _joints(p * 12.0, fine_row, q * 30.0 - fine_row).astype(np.float32)
        return np.maximum(_windows(column, row, fp, fq), joints * np.float32(0.3))
    if kind in (Pattern.LEAVES, Pattern.BLOTCH):
        smooth = look_up(smooth_tile(), p * 40.0, q * 40.0)
        gain, offset, top = (0.8, 0.1, 0.9) if kind == Pattern.LEAVES else (1.2, -0.6, 1.0)
        return np.clip(smooth * gain + offset, 0.0, top)
    if kind == Pattern.GRID:
        shown = (fp < 0.05) | (fq < 0.05)
    elif kind == Pattern.BRICK:
        shown = _joints(p, row, fq)
    elif kind == Pattern.DIAGONAL:
        slanted = p + q
        shown = (slanted - np.floor(slanted)) < 0.4
    elif kind == Pattern.BAND:
        shown = (fq > 0.35) & (fq < 0.6)
    else:
        coordinate, share = {Pattern.DASH: (fp, 0.4), Pattern.RIBS: (fp, 0.3), Pattern.STRIPE: (fq, 0.5)}[kind]
        shown = coordinate < share
    amount: F32 = shown.astype(np.float32)
    return amount


def _joints(p: F32, row: F32, fq: F32) -> Bool:
    """Mortar between bricks laid in running bond."""
    shifted = p + 0.5 * (row - 2.0 * np.floor(row / 2.0))
    joints: Bool = (shifted - np.floor(shifted) < 0.06) | (fq < 0.14)
    return joints


def _windows(column: F32, row: F32, fp: F32, fq: F32) -> F32:
    """One pane a cell, each as dark as chance has it."""
    inside = (fp > 0.22) & (fp < 0.78) & (fq > 0.3) & (fq < 0.82)
    darkness = np.clip(0.8 + 0.12 * look_up(noise_tile(), column * 37.0, row * 91.0), 0.4, 1.0)
    return np.where(inside, darkness, np.float32(0.0))


def _grain(mesh: Mesh, triangle_N: I32, uv_N2: F32, footprint_N: F32) -> F32:
    """Noise [N] of about unit spread; its texels double in size until they are no smaller than a pixel."""
    per_m = mesh.grain_per_m_T.take(triangle_N)
    _, octave = np.frexp(np.maximum(footprint_N * per_m, 0.999))
    scale = np.ldexp(per_m, -octave)
    shift = mesh.instance_T.take(triangle_N).astype(np.float32) * 17.0
    return look_up(noise_tile(), uv_N2[:, 0] * scale + shift, uv_N2[:, 1] * scale)


def look_up(tile: F32, x_N: F32, y_N: F32) -> F32:
    """The tile at integer cells of (x, y), repeated without end."""
    # The offset makes all values positive, where cutting off the fraction is rounding down.
    column = (x_N + _OFFSET).astype(np.int32) & (_TILE - 1)
    row = (y_N + _OFFSET).astype(np.int32) & (_TILE - 1)
    return tile.take(row * _TILE + column)


@cache
def noise_tile() -> F32:
    """A tileable noise [512 * 512] with detail of all sizes down to one texel; mean 0, spread 1."""
    return _make_tile({1: 0.6, 2: 0.9, 4: 0.8, 8: 0.7, 16: 0.6})


@cache
def smooth_tile() -> F32:
    """A tileable noise [512 * 512] without detail below eight texels; mean 0, spread 1."""
    return _make_tile({8: 0.5, 16: 1.0, 32: 1.0})


def _make_tile(strength_of_size: dict[int, float]) -> F32:
    """Sum of interpolated random values on grids of the given cell sizes (texels)."""
    rng = np.random.default_rng(20240523)
    total = np.zeros((_TILE, _TILE))
    for size, strength in strength_of_size.items():
        total += strength * _enlarge(rng.standard_normal((_TILE // size, _TILE // size)), size)
    total -= total.mean()
    tile: F32 = (total / total.std()).astype(np.float32).ravel()
    return tile


def _enlarge(values: F64, factor: int) -> F64:
    """Bilinear enlargement that wraps around."""
    for axis in (0, 1):
        following = np.roll(values, -1, axis=axis)
        steps = [values + (following - values) * (k / factor) for k in range(factor)]
        shape = list(values.shape)
        shape[axis] *= factor
        values = np.stack(steps, axis=axis + 1).reshape(shape)
    return values
