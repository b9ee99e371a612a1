"""Light and weather of one scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from olivine.synth.arrays import F32
from olivine.synth.texture import look_up, smooth_tile


@dataclass(frozen=True)
class Light:
    """Sun, sky, haze and exposure; colours in linear light.

    `to_sun_3` is the unit vector towards the sun on the map; `haze_per_m` the share of light lost in a metre;
    `headlight` the strength of the ego vehicle's lamps; `noise` the spread of the image noise (0..255 counts).
    """

    name: str
    to_sun_3: F32
    sun_rgb: F32
    sky_rgb: F32
    zenith_rgb: F32
    horizon_rgb: F32
    cloud: float
    haze_per_m: float
    exposure: float
    headlight: float
    noise: float

    @property
    def casts_shadows(self) -> bool:
        """Whether shadow rays are worth casting."""
        return bool(self.sun_rgb.max() > 0.1)


def draw_light(rng: np.random.Generator) -> Light:
    """Clear (half of all scenes), overcast, dusk or night."""
    name = str(rng.choice(["clear", "overcast", "dusk", "night"], p=[0.5, 0.3, 0.12, 0.08]))
    elevation = math.radians(rng.uniform(8.0, 18.0) if name == "dusk" else rng.uniform(22.0, 65.0))
    azimuth = rng.uniform(-math.pi, math.pi)
    planar = math.cos(elevation)
    to_sun = np.array([planar * math.cos(azimuth), planar * math.sin(azimuth), math.sin(elevation)], np.float32)
    sun, sky, zenith, horizon, exposure, headlight, noise = {
        "clear": ((2.3, 2.1, 1.8), (0.55, 0.65, 0.85), (0.15, 0.33, 0.8), (0.7, 0.8, 0.95), 0.68, 0.0, 1.5),
        "overcast": ((0.0, 0.0, 0.0), (1.5, 1.55, 1.6), (0.75, 0.78, 0.8), (0.9, 0.9, 0.9), 0.68, 0.0, 2.0),
        "dusk": ((1.6, 1.0, 0.55), (0.45, 0.42, 0.55), (0.15, 0.2, 0.45), (1.0, 0.65, 0.4), 0.65, 0.0, 2.5),
        "night": ((0.0, 0.0, 0.0), (0.16, 0.13, 0.11), (0.005, 0.006, 0.012), (0.05, 0.04, 0.03), 0.9, 1.6, 5.0),
    }[name]
    return Light(
        name=name,
        to_sun_3=to_sun,
        sun_rgb=np.array(sun, np.float32),
        sky_rgb=np.array(sky, np.float32),
        zenith_rgb=np.array(zenith, np.float32),
        horizon_rgb=np.array(horizon, np.float32),
        cloud=rng.uniform(0.0, 0.8) * (name in ("clear", "dusk")),
        haze_per_m=rng.uniform(0.0008, 0.0035),
        exposure=exposure * float(np.exp(rng.normal(0.0, 0.15))),
        headlight=headlight,
        noise=noise,
    )


def sky_colour(light: Light, directions_N3: F32) -> F32:
    """Colour [N, 3] of the sky along unit directions [N, 3]: a gradient with clouds."""
    height = np.clip(directions_N3[:, 2], 0.0, 1.0)
    blend = np.sqrt(height)[:, None]
    colour: F32 = light.horizon_rgb + (light.zenith_rgb - light.horizon_rgb) * blend
    if light.cloud > 0.0:
        plane = directions_N3[:, :2] * (40.0 / np.maximum(height, 0.04))[:, None]
        billows = look_up(smooth_tile(), plane[:, 0], plane[:, 1])
        cover = np.clip(billows * 0.5 + light.cloud - 0.4, 0.0, 0.8) * np.clip(height * 5.0, 0.0, 1.0)
        colour += (light.horizon_rgb * 1.1 - colour) * cover[:, None]
    return colour
