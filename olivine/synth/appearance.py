"""What surfaces look like: finishes (colour, pattern, grain, reflectance) and the palettes they are drawn from.

Palettes are shared between classes on purpose: a grey car stands before a grey wall, a yellow bus beside a yellow
truck. What tells classes apart is shape, texture and context, as in real images.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

Rgb = tuple[float, float, float]


class Pattern(IntEnum):
    """Texture patterns; each mixes the second colour into the first within cells of `Finish.cell_m`."""

    NONE = 0
    DASH = 1
    GRID = 2
    BRICK = 3
    WINDOW = 4
    RIBS = 5
    STRIPE = 6
    DIAGONAL = 7
    BLOTCH = 8
    LEAVES = 9
    BRICK_WINDOW = 10
    BAND = 11


@dataclass(frozen=True)
class Finish:
    """The look of a face.

    `rgb` and `alt_rgb` are linear reflectances 0..1; `cell_m` is the pattern's cell (along u, along v) in metres;
    `grain` is the relative strength of the noise and `grain_per_m` its texels a metre; `reflectance` 0..1 is what the
    LiDAR sees (retroreflectors may exceed 1).
    """

    rgb: Rgb
    alt_rgb: Rgb = (0.0, 0.0, 0.0)
    pattern: Pattern = Pattern.NONE
    cell_m: tuple[float, float] = (1.0, 1.0)
    grain: float = 0.08
    grain_per_m: float = 12.0
    reflectance: float = 0.3
    two_sided: bool = False


def hsv(hue: float, saturation: float, value: float) -> Rgb:
    """A linear-light colour from hue, saturation and (display) value, each 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return (red**2.2, green**2.2, blue**2.2)


def grey(value: float) -> Rgb:
    """A neutral colour of display value 0..1, in linear light."""
    return (value**2.2, value**2.2, value**2.2)


def any_paint(rng: np.random.Generator) -> Rgb:
    """Paint of a vehicle, a container, a door, a coat: two thirds near-grey, the rest of any hue."""
    if rng.random() < 0.6:
        return hsv(
            rng.random(), rng.uniform(0.0, 0.1), rng.choice([0.15, 0.3, 0.5, 0.7, 0.9]) + rng.uniform(-0.06, 0.06)
        )
    return hsv(rng.random(), rng.uniform(0.25, 0.8), rng.uniform(0.25, 0.75))


def any_facade(rng: np.random.Generator) -> Rgb:
    """Colour of a wall: greys, creams, reds, and now and then something loud."""
    kind = rng.random()
    if kind < 0.4:
        return hsv(rng.random(), rng.uniform(0.0, 0.08), rng.uniform(0.35, 0.9))
    if kind < 0.85:
        return hsv(rng.uniform(0.0, 0.13), rng.uniform(0.15, 0.6), rng.uniform(0.4, 0.85))
    return hsv(rng.random(), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.8))


def any_leaf(rng: np.random.Generator) -> Rgb:
    """Colour of leaves and grass: mostly green, some yellow, brown and red."""
    hue = rng.choice([rng.uniform(0.2, 0.36), rng.uniform(0.03, 0.17)], p=[0.78, 0.22])
    return hsv(float(hue), rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.6))


def any_soil(rng: np.random.Generator) -> Rgb:
    """Colour of bare or dry ground."""
    return hsv(rng.uniform(0.06, 0.13), rng.uniform(0.15, 0.5), rng.uniform(0.35, 0.65))


def any_reflectance(rng: np.random.Generator, typical: float) -> float:
    """LiDAR reflectance of one instance: log-normal around `typical`, spread of a third."""
    return float(np.clip(typical * np.exp(rng.normal(0.0, 0.35)), 0.02, 3.0))


GLASS = Finish(grey(0.2), grey(0.42), Pattern.BLOTCH, (1.6, 0.9), grain=0.1, reflectance=0.06)
RUBBER = Finish(grey(0.13), grain=0.15, reflectance=0.06)
STEEL = Finish(grey(0.5), grain=0.1, reflectance=0.35)
DARK = Finish(grey(0.18), grain=0.1, reflectance=0.12)
HEADLIGHT = Finish(grey(0.98), grain=0.02, reflectance=0.9)
TAILLIGHT = Finish(hsv(0.0, 0.9, 0.75), grain=0.02, reflectance=1.4)
PLATE = Finish(grey(0.85), grey(0.1), Pattern.RIBS, (0.12, 1.0), grain=0.02, reflectance=2.2)
