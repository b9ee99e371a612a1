"""Buildings, fences, poles and plants: the stuff classes manmade and vegetation."""

from __future__ import annotations

import numpy as np

from olivine.synth.appearance import (
    DARK,
    STEEL,
    Finish,
    Pattern,
    any_facade,
    any_leaf,
    any_paint,
    any_reflectance,
    grey,
    hsv,
)
from olivine.synth.kitti_ids import BUILDING, FENCE, OTHER_STRUCTURE, POLE, TRAFFIC_SIGN, TRUNK
from olivine.synth.model import Model
from olivine.synth.primitives import bar, blob, box, frustum, gable_roof

MANMADE, VEGETATION = 28, 30


def building(rng: np.random.Generator, length: float, depth: float, style: str) -> Model:
    """A "house" (gable roof), "block" (flats, offices) or "hall" (industry); the street side is +y or -y."""
    model = Model(MANMADE, is_thing=False, kitti=BUILDING)
    tall = {"house": rng.uniform(4.5, 8.0), "block": rng.uniform(9.0, 28.0), "hall": rng.uniform(5.0, 9.0)}[style]
    model.add(box((length, depth, tall + 0.6), (0.0, 0.0, -0.6)), _facade(rng, style))
    roof = Finish(hsv(rng.uniform(0.0, 0.1), rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.5)), grain=0.3, grain_per_m=8.0)
    if style == "house":
        model.add(gable_roof((length * 1.05, depth * 1.08, depth * rng.uniform(0.25, 0.4)), (0.0, 0.0, tall)), roof)
    else:
        model.add(box((length * 1.01, depth * 1.01, 0.5), (0.0, 0.0, tall)), roof)
    if style == "block" and rng.random() < 0.6:
        for level in np.arange(3.2, tall - 2.0, 3.2):
            balcony = Finish(any_facade(rng), grey(0.2), Pattern.RIBS, (0.2, 1.0))
            model.add(box((length * 0.3, depth + 1.6, 1.0), (length * 0.2, 0.0, float(level))), balcony)
    model.footprint_m = (length + 0.2, depth + (1.8 if style == "block" else 0.4))
    return model


def wall(rng: np.random.Generator, length: float) -> Model:
    """A garden wall or hoarding, 1 to 2.4 m high."""
    model = Model(MANMADE, is_thing=False, kitti=FENCE)
    brick = rng.random() < 0.5
    finish = Finish(
        any_facade(rng),
        grey(0.6),
        Pattern.BRICK if brick else Pattern.NONE,
        (0.25, 0.085),
        grain=0.25,
        reflectance=any_reflectance(rng, 0.35),
    )
    model.add(box((length, 0.25, rng.uniform(1.0, 2.4) + 0.3), (0.0, 0.0, -0.3)), finish)
    return model


def fence(rng: np.random.Generator, length: float) -> Model:
    """Posts with rails or with pickets: one sees, and ranges, through it."""
    model = Model(MANMADE, is_thing=False, kitti=FENCE)
    tall, rails = rng.uniform(0.9, 1.9), Finish(any_paint(rng), grain=0.2, reflectance=any_reflectance(rng, 0.3))
    for x in np.arange(-length / 2, length / 2 + 0.01, 2.0):
        model.add(bar((float(x), 0.0, -0.3), (float(x), 0.0, tall), 0.1), rails)
    for height in np.linspace(0.25, 0.95, 4) * tall:
        model.add(bar((-length / 2, 0.0, float(height)), (length / 2, 0.0, float(height)), 0.07), rails)
    return model


def street_light(rng: np.random.Generator) -> Model:
    """A mast with an arm over the road (+y), 6 to 9 m high."""
    model = Model(MANMADE, is_thing=False, kitti=POLE)
    tall, mast = rng.uniform(6.0, 9.0), Finish(any_paint(rng), grain=0.1, reflectance=any_reflectance(rng, 0.3))
    model.add(frustum((0.11, 0.07), tall + 0.3, (0.0, 0.0, -0.3)), mast)
    model.add(bar((0.0, 0.0, tall), (0.0, 1.6, tall + 0.3), 0.09), mast)
    model.add(box((0.25, 0.6, 0.12), (0.0, 1.8, tall + 0.25)), Finish(grey(0.85), grain=0.02))
    model.footprint_m = (0.3, 0.3)
    return model


def traffic_light(rng: np.random.Generator) -> Model:
    """A pole with a signal head facing -x."""
    model = Model(MANMADE, is_thing=False, kitti=POLE)
    tall = rng.uniform(2.6, 3.4)
    model.add(frustum((0.07, 0.07), tall + 0.3, (0.0, 0.0, -0.3)), STEEL)
    model.add(box((0.25, 0.32, 0.95), (0.0, 0.0, tall)), DARK)
    lamp = Finish(hsv(float(rng.choice([0.0, 0.33])), 0.9, 0.95), reflectance=0.5)
    model.add(box((0.05, 0.2, 0.2), (-0.14, 0.0, tall + float(rng.choice([0.1, 0.65])))), lamp)
    model.footprint_m = (0.4, 0.4)
    return model


def sign(rng: np.random.Generator) -> Model:
    """A traffic sign: a plate that throws the laser straight back."""
    model = Model(MANMADE, is_thing=False, kitti=POLE)
    tall, size = rng.uniform(2.0, 2.6), rng.uniform(0.5, 0.8)
    plate = Finish(any_paint(rng), grey(0.9), Pattern.BAND, (1.0, size), grain=0.02, reflectance=2.2)
    model.add(frustum((0.04, 0.04), tall + 0.3, (0.0, 0.0, -0.3), sides=6), STEEL)
    model.add(box((0.04, size, size), (-0.06, 0.0, tall - 0.1)), plate, TRAFFIC_SIGN)
    model.footprint_m = (0.3, 0.3)
    return model


def bus_shelter(rng: np.random.Generator) -> Model:
    """A roof on posts with a back panel at -y."""
    model = Model(MANMADE, is_thing=False, kitti=OTHER_STRUCTURE)
    length, panel = rng.uniform(3.0, 5.0), Finish(any_paint(rng), any_paint(rng), Pattern.BLOTCH, (1.2, 1.0))
    model.add(box((length, 1.4, 0.12), (0.0, 0.0, 2.4)), DARK)
    model.add(box((length, 0.06, 1.9), (0.0, -0.65, 0.3)), panel)
    for x in (-length / 2 + 0.1, length / 2 - 0.1):
        model.add(bar((x, 0.6, -0.2), (x, 0.6, 2.4), 0.1), STEEL)
    model.add(box((length * 0.6, 0.35, 0.08), (0.0, -0.35, 0.45)), STEEL)
    return model


def tree(rng: np.random.Generator) -> Model:
    """A trunk and a crown of a few bumpy balls, or a conifer; 3.5 to 12 m tall, crown above 2.3 m."""
    model = Model(VEGETATION, is_thing=False)
    bark = Finish(
        hsv(rng.uniform(0.05, 0.1), 0.4, rng.uniform(0.2, 0.4)), grain=0.5, grain_per_m=14.0, reflectance=0.25
    )
    leaves = _leaves(rng)
    crown, thick = rng.uniform(1.2, 3.2), rng.uniform(0.1, 0.28)
    if rng.random() < 0.25:
        tall = rng.uniform(5.0, 11.0)
        model.add(frustum((thick, thick * 0.6), 2.8, (0.0, 0.0, -0.3), sides=7), bark, TRUNK)
        for step in range(3):
            low = 2.3 + (tall - 2.3) * step * 0.27
            radius = crown * (0.75 - 0.18 * step)
            model.add(frustum((radius, 0.1), (tall - 2.3) * 0.45, (0.0, 0.0, low), sides=9), leaves)
    else:
        stem = rng.uniform(1.2, 3.0) + crown
        model.add(frustum((thick, thick * 0.6), stem + 0.3, (0.0, 0.0, -0.3), sides=7), bark, TRUNK)
        for _ in range(int(rng.integers(2, 5))):
            radius = crown * rng.uniform(0.6, 0.95)
            x, y = rng.normal(0.0, crown * 0.35, 2)
            height = max(stem + rng.uniform(0.0, crown), 2.4 + radius * 1.1)
            model.add(blob((radius, radius, radius * 0.85), (x, y, height), rng.uniform(0.78, 1.15, 42)), leaves)
    model.footprint_m = (0.9, 0.9)
    return model


def bush(rng: np.random.Generator) -> Model:
    """A shrub of one or two bumpy balls, 0.6 to 1.8 m tall."""
    model = Model(VEGETATION, is_thing=False)
    leaves = _leaves(rng)
    for _ in range(int(rng.integers(1, 3))):
        radius = rng.uniform(0.4, 0.95)
        x, y = rng.uniform(-0.4, 0.4, 2)
        model.add(blob((radius, radius, radius * 0.9), (x, y, radius * 0.6), rng.uniform(0.75, 1.15, 42)), leaves)
    return model


def hedge(rng: np.random.Generator, length: float) -> Model:
    """A clipped hedge: a box of leaves."""
    model = Model(VEGETATION, is_thing=False)
    size = (length, rng.uniform(0.6, 1.4), rng.uniform(0.8, 2.4) + 0.3)
    model.add(box(size, (0.0, 0.0, -0.3), (0.98, 0.85)), _leaves(rng))
    return model


def _leaves(rng: np.random.Generator) -> Finish:
    rgb = any_leaf(rng)
    shade = (rgb[0] * 0.25, rgb[1] * 0.25, rgb[2] * 0.25)
    cell = rng.uniform(0.25, 0.5)
    return Finish(
        rgb, shade, Pattern.LEAVES, (cell, cell), grain=0.7, grain_per_m=9.0, reflectance=any_reflectance(rng, 0.5)
    )


def _facade(rng: np.random.Generator, style: str) -> Finish:
    choices = (
        [Pattern.WINDOW, Pattern.BRICK_WINDOW] if style != "hall" else [Pattern.RIBS, Pattern.WINDOW, Pattern.NONE]
    )
    pattern = Pattern(rng.choice(choices))
    cell = (rng.uniform(0.4, 0.9), 1.0) if pattern == Pattern.RIBS else (rng.uniform(2.2, 4.0), rng.uniform(2.7, 3.4))
    rgb = any_facade(rng)
    darker = (rgb[0] * 0.75, rgb[1] * 0.75, rgb[2] * 0.75)
    glass = hsv(rng.uniform(0.5, 0.65), 0.3, rng.uniform(0.2, 0.5))
    return Finish(
        rgb,
        darker if pattern == Pattern.RIBS else glass,
        pattern,
        cell,
        grain=0.15,
        grain_per_m=5.0,
        reflectance=any_reflectance(rng, 0.35),
    )
