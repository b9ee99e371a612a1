"""People, two-wheelers, cones, barriers, and the small change of the street that no benchmark class names."""

from __future__ import annotations

import numpy as np

from olivine.synth.appearance import (
    DARK,
    RUBBER,
    STEEL,
    Finish,
    Pattern,
    Rgb,
    any_paint,
    any_reflectance,
    grey,
    hsv,
)
from olivine.synth.model import Model
from olivine.synth.primitives import annulus, bar, blob, box, frustum

ADULT, CHILD, WORKER, POLICE = 2, 3, 4, 6
BARRIER, DEBRIS, PUSHABLE, CONE, BICYCLE_RACK, BICYCLE, MOTORCYCLE, STATIC_OTHER = 9, 10, 11, 12, 13, 14, 21, 29


def pedestrian(rng: np.random.Generator, raw_category: int | None = None) -> Model:
    """A standing or walking figure of capsules: legs, trunk, arms, head; 1.1 to 1.95 m tall."""
    raw = raw_category or int(rng.choice([ADULT, CHILD, POLICE], p=[0.9, 0.08, 0.02]))
    model = Model(raw)
    tall = rng.uniform(1.1, 1.4) if raw == CHILD else rng.uniform(1.58, 1.92)
    wide, stride = tall * rng.uniform(0.13, 0.16), tall * rng.uniform(0.0, 0.16)
    trousers = Finish(any_paint(rng), grain=0.2, grain_per_m=20.0, reflectance=any_reflectance(rng, 0.25))
    coat_rgb = hsv(rng.uniform(0.05, 0.2), 0.9, 0.9) if raw == WORKER else any_paint(rng)
    coat = Finish(coat_rgb, grey(0.9), Pattern.STRIPE if raw == WORKER else Pattern.NONE, (1.0, 0.35), grain=0.2)
    skin = Finish(hsv(rng.uniform(0.04, 0.09), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.85)), grain=0.05)
    hip, shoulder = tall * 0.48, tall * 0.82
    for side in (-1.0, 1.0):
        foot = (side * stride, side * wide * 0.4, 0.0)
        model.add(bar(foot, (0.0, side * wide * 0.4, hip), tall * 0.085), trousers)
        hand = (-side * stride * 0.8, side * wide * 1.15, hip)
        model.add(bar((0.0, side * wide, shoulder), hand, tall * 0.05), coat)
    model.add(frustum((wide * 0.85, wide), shoulder - hip + 0.05, (0.0, 0.0, hip - 0.05)), coat)
    head = tall * 0.068
    model.add(blob((head, head * 0.9, head * 1.3), (0.0, 0.0, tall - head * 1.3), np.ones(42)), skin)
    if rng.random() < 0.3:
        model.add(box((0.18, 0.3, 0.42), (-wide - 0.06, 0.0, hip + 0.1)), Finish(any_paint(rng), grain=0.2))
    return model


def bicycle(rng: np.random.Generator) -> Model:
    """A parked bicycle: two thin wheels, a frame of bars, handlebar and saddle."""
    model = Model(BICYCLE)
    radius, base = rng.uniform(0.31, 0.35), rng.uniform(1.0, 1.1)
    tyre = Finish(grey(0.12), grain=0.1, reflectance=0.1, two_sided=True)
    frame = Finish(any_paint(rng), grain=0.03, reflectance=any_reflectance(rng, 0.35))
    for x in (-base / 2, base / 2):
        model.add(annulus(radius, 0.05, (x, 0.0, radius)), tyre)
        model.add(bar((x, 0.0, radius - 0.25), (x, 0.0, radius + 0.25), 0.02), STEEL)
        model.add(bar((x - 0.25, 0.0, radius), (x + 0.25, 0.0, radius), 0.02), STEEL)
    pedal, saddle, head = (-0.05, 0.0, radius), (-0.2, 0.0, 0.85), (base * 0.36, 0.0, 0.88)
    joints = ((pedal, saddle), (pedal, head), (saddle, head), ((-base / 2, 0.0, radius), saddle))
    for start, end in (*joints, ((base / 2, 0.0, radius), head)):
        model.add(bar(start, end, 0.045), frame)
    model.add(box((0.26, 0.15, 0.07), (-0.22, 0.0, 0.86)), DARK)
    model.add(bar((base * 0.36, -0.28, 1.0), (base * 0.36, 0.28, 1.0), 0.035), STEEL)
    return model


def motorcycle(rng: np.random.Generator) -> Model:
    """A motorcycle or scooter: thick wheels, tank, seat, fork."""
    model = Model(MOTORCYCLE)
    base, radius = rng.uniform(1.25, 1.45), rng.uniform(0.27, 0.32)
    paint = Finish(any_paint(rng), grain=0.05, reflectance=any_reflectance(rng, 0.3))
    for x in (-base / 2, base / 2):
        model.add(frustum((radius, radius), 0.14, (x, -0.07, radius), "y", 12), RUBBER)
    model.add(box((base * 0.55, 0.3, 0.4), (0.0, 0.0, 0.3), (0.8, 0.8)), DARK)
    model.add(box((base * 0.4, 0.32, 0.26), (0.12, 0.0, 0.7), (0.7, 0.8)), paint)
    model.add(box((base * 0.45, 0.28, 0.12), (-0.4, 0.0, 0.74)), DARK)
    model.add(bar((base / 2, 0.0, radius), (base / 2 - 0.25, 0.0, 1.05), 0.12), STEEL)
    model.add(bar((base / 2 - 0.25, -0.36, 1.06), (base / 2 - 0.25, 0.36, 1.06), 0.05), STEEL)
    model.add(box((0.3, 0.3, 0.25), (-base / 2, 0.0, 0.62), (0.9, 0.9)), paint)
    return model


def traffic_cone(rng: np.random.Generator) -> Model:
    """A striped cone, 0.5 to 0.95 m tall; most are orange, but not all."""
    model = Model(CONE)
    tall = rng.uniform(0.5, 0.95)
    hue = rng.uniform(0.02, 0.07) if rng.random() < 0.65 else rng.random()
    stripes = Finish(
        hsv(hue, 0.85, 0.85), grey(0.9), Pattern.STRIPE, (1.0, tall * 0.5), reflectance=any_reflectance(rng, 0.9)
    )
    model.add(box((tall * 0.5, tall * 0.5, 0.05), (0.0, 0.0, 0.0)), DARK)
    model.add(frustum((tall * 0.2, tall * 0.05), tall - 0.05, (0.0, 0.0, 0.05)), stripes)
    return model


def barrier(rng: np.random.Generator, kind: str, rgb: Rgb) -> Model:
    """One element of a row: "concrete" (jersey profile), "plastic" (water filled) or "board" (striped planks)."""
    model = Model(BARRIER)
    if kind == "board":
        stripes = Finish(grey(0.9), rgb, Pattern.DIAGONAL, (0.4, 0.4), reflectance=0.9)
        for height in (0.35, 0.75):
            model.add(box((1.7, 0.06, 0.24), (0.0, 0.0, height)), stripes)
        for x in (-0.75, 0.75):
            model.add(box((0.08, 0.5, 1.0), (x, 0.0, 0.0), (1.0, 0.1)), DARK)
        return model
    finish = Finish(rgb, grain=0.25, grain_per_m=10.0, reflectance=any_reflectance(rng, 0.35))
    model.add(box((1.9, 0.58, 0.28), (0.0, 0.0, 0.0), (1.0, 0.62)), finish)
    model.add(box((1.9, 0.36, 0.58), (0.0, 0.0, 0.28), (1.0, 0.5)), finish)
    return model


def barrier_colours(rng: np.random.Generator, kind: str) -> tuple[Rgb, Rgb]:
    """The two colours that alternate in one row of barriers."""
    if kind == "concrete":
        concrete = hsv(rng.uniform(0.0, 0.2), rng.uniform(0.0, 0.15), rng.uniform(0.5, 0.75))
        return concrete, concrete
    return any_paint(rng), any_paint(rng)


def litter_bin(rng: np.random.Generator) -> Model:
    """A bin: `static.other`, which the benchmark ignores."""
    model = Model(STATIC_OTHER, is_thing=False)
    model.add(frustum((0.25, 0.3), rng.uniform(0.8, 1.0), (0.0, 0.0, 0.0)), Finish(any_paint(rng), grain=0.2))
    return model


def trolley(rng: np.random.Generator) -> Model:
    """A pushed cart: `movable_object.pushable_pullable`, ignored by the benchmark."""
    model = Model(PUSHABLE)
    model.add(box((0.9, 0.55, 0.6), (0.0, 0.0, 0.25)), Finish(any_paint(rng), grey(0.2), Pattern.GRID, (0.15, 0.15)))
    model.add(bar((-0.5, -0.25, 1.0), (-0.5, 0.25, 1.0), 0.05), STEEL)
    return model


def debris(rng: np.random.Generator) -> Model:
    """A heap or a box on the ground: `movable_object.debris`, ignored by the benchmark."""
    model = Model(DEBRIS)
    size = (rng.uniform(0.4, 1.1), rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.6))
    model.add(box(size, (0.0, 0.0, 0.0), (0.6, 0.7)), Finish(any_paint(rng), grain=0.4))
    return model


def bicycle_rack(rng: np.random.Generator) -> Model:
    """A row of hoops: `static_object.bicycle_rack`, ignored by the benchmark."""
    model = Model(BICYCLE_RACK)
    for x in np.arange(int(rng.integers(3, 6))) * 0.8:
        for y in (-0.35, 0.35):
            model.add(bar((x, y, 0.0), (x, y, 0.8), 0.06), STEEL)
        model.add(bar((x, -0.35, 0.8), (x, 0.35, 0.8), 0.06), STEEL)
    return model
