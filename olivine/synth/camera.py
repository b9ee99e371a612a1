"""Renders one camera: colour image, true category and instance of every pixel, from one ray a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from olivine.nuscenes_categories import IGNORE_CATEGORY
from olivine.synth.arrays import F32, U8, U16
from olivine.synth.lighting import Light, sky_colour
from olivine.synth.poses import Pose
from olivine.synth.raycast import Hits, RayCaster
from olivine.synth.texture import albedo, noise_tile
from olivine.synth.world import Mesh

NO_CATEGORY = 255
_LEVELS = 4096
_DISPLAY = (np.linspace(0.0, 1.0, _LEVELS) ** (1.0 / 2.2) * 255.0).astype(np.float32)


@dataclass(frozen=True)
class View:
    """What a camera sees: colour [H, W, 3], category 1..16 or 255 [H, W], instance id or 0 for sky [H, W]."""

    colour_HW3: U8
    category_HW: U8
    instance_HW: U16


class Renderer:
    """Renders views of one scene under one light."""

    def __init__(self, mesh: Mesh, caster: RayCaster, light: Light) -> None:
        self._mesh, self._caster, self._light = mesh, caster, light
        facing = mesh.normal_T3 @ light.to_sun_3
        self._sun_T = np.where(mesh.two_sided_T, np.abs(facing), np.maximum(facing, 0.0)).astype(np.float32)
        self._sky_T = (0.62 + 0.38 * mesh.normal_T3[:, 2]).astype(np.float32)
        self._category_T = np.where(mesh.category_T == IGNORE_CATEGORY, NO_CATEGORY, mesh.category_T).astype(np.uint8)

    def render(
        self, pose: Pose, rays_N3: F32, size: tuple[int, int], focal_px: float, rng: np.random.Generator
    ) -> View:
        """The view from `pose` (camera on the map); `rays_N3` are its unit rays row by row, `size` (width, height)."""
        width, height = size
        directions = np.einsum("ij,nj->ni", pose.rotation_33.astype(np.float32), rays_N3)
        hits = self._caster.cast(pose.translation_3.astype(np.float32), directions)
        seen = np.flatnonzero(hits.triangle_N >= 0)
        triangle = hits.triangle_N.take(seen)
        colour = np.empty((len(rays_N3), 3), np.float32)
        missed = np.flatnonzero(hits.triangle_N < 0)
        colour[missed] = sky_colour(self._light, directions[missed])
        blocked = self._shadows(pose, directions, hits, size)
        kept = Hits(triangle, hits.distance_N.take(seen), hits.u_N.take(seen), hits.v_N.take(seen))
        colour[seen] = self._shade(kept, blocked.take(seen), focal_px)
        category = np.full(len(rays_N3), NO_CATEGORY, np.uint8)
        category[seen] = self._category_T.take(triangle)
        instance = np.zeros(len(rays_N3), np.uint16)
        instance[seen] = self._mesh.instance_T.take(triangle)
        return View(
            self._expose(colour, rng).reshape(height, width, 3),
            category.reshape(height, width),
            instance.reshape(height, width),
        )

    def _shade(self, hits: Hits, blocked_N: F32, focal_px: float) -> F32:
        """Linear colour [N, 3] of surfaces: sky light, sun, headlights, haze."""
        light, triangle = self._light, hits.triangle_N
        received = self._sky_T.take(triangle)[:, None] * light.sky_rgb
        if light.casts_shadows:
            received += (self._sun_T.take(triangle) * (1.0 - blocked_N))[:, None] * light.sun_rgb
        if light.headlight:
            received += (light.headlight / (1.0 + (hits.distance_N / 9.0) ** 2))[:, None]
        colour = albedo(self._mesh, hits, hits.distance_N * (1.0 / focal_px))
        colour *= received
        haze = 1.0 - np.exp(hits.distance_N * -light.haze_per_m)
        colour += (light.horizon_rgb - colour) * haze[:, None]
        return colour

    def _shadows(self, pose: Pose, directions_N3: F32, hits: Hits, size: tuple[int, int]) -> F32:
        """1 where the sun is hidden, else 0 [N]; cast for every second row and column and repeated."""
        width, height = size
        if not self._light.casts_shadows:
            return np.zeros(width * height, np.float32)
        rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
        coarse = (rows[:, None] * width + columns).ravel()
        triangle = hits.triangle_N[coarse]
        lit = (triangle >= 0) & (self._sun_T[np.maximum(triangle, 0)] > 0.0)
        chosen = coarse[lit]
        points = pose.translation_3.astype(np.float32) + directions_N3[chosen] * hits.distance_N[chosen, None]
        # Start a little above the surface, else it would shadow itself.
        points += self._light.to_sun_3 * 0.01 - directions_N3[chosen] * 0.005
        blocked = np.zeros(len(coarse), np.float32)
        blocked[lit] = self._caster.is_blocked(points, self._light.to_sun_3)
        grid = blocked.reshape(len(rows), len(columns))
        return grid.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width].ravel()

    def _expose(self, linear_N3: F32, rng: np.random.Generator) -> U8:
        """Linear light to noisy 8-bit display values."""
        scaled = linear_N3 * np.float32(self._light.exposure * (_LEVELS - 1))
        level = np.minimum(scaled, _LEVELS - 1, out=scaled).astype(np.int32)
        values = _DISPLAY.take(level)
        start = int(rng.integers(0, 512 * 512))
        noise = np.resize(np.roll(noise_tile(), start), linear_N3.shape[0])
        values += (noise * self._light.noise)[:, None]
        return np.clip(values, 0, 255, out=values).astype(np.uint8)
