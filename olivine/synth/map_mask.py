"""The map mask of one scene: roads and pavements in white, 0.1 m a pixel, as the nuScenes tools expect."""

from __future__ import annotations

import numpy as np

from olivine.synth.arrays import U8
from olivine.synth.street import DRIVEABLE, HALF_WIDTH_M, Street, Surface

_COARSE_M = 1.0
_PIXELS_PER_COARSE = 10


def draw_map_mask(street: Street) -> U8:
    """Mask [rows, columns], 255 on driveable ground and pavements; row 0 is the north (largest y).

    Drawn at one metre and enlarged: nuScenes fixes 0.1 m a pixel, which no synthetic street needs.
    """
    s_low, s_high = street.s_range_m
    s = np.linspace(s_low, s_high, 60)
    edges = np.concatenate([np.stack([s, np.full_like(s, t)], axis=1) for t in (-HALF_WIDTH_M, HALF_WIDTH_M)])
    columns, rows = np.ceil(street.to_map_many(edges).max(axis=0) / _COARSE_M).astype(int) + 10
    x, y = np.meshgrid(np.arange(columns) + 0.5, rows - (np.arange(rows) + 0.5))
    st = street.from_map_many(np.stack([x.ravel(), y.ravel()], axis=1) * _COARSE_M)
    inside = (st[:, 0] > s_low) & (st[:, 0] < s_high) & (np.abs(st[:, 1]) < HALF_WIDTH_M)
    paved = np.isin(street.surface_at(st), [*(int(kind) for kind in DRIVEABLE), int(Surface.SIDEWALK)])
    mask = np.where(paved & inside, 255, 0).astype(np.uint8).reshape(rows, columns)
    return mask.repeat(_PIXELS_PER_COARSE, axis=0).repeat(_PIXELS_PER_COARSE, axis=1)
