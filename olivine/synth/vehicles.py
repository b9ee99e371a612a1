"""Cars, trucks, buses, trailers and construction vehicles, built of boxes and cylinders."""

from __future__ import annotations

import numpy as np

from olivine.synth.appearance import (
    DARK,
    GLASS,
    HEADLIGHT,
    PLATE,
    RUBBER,
    STEEL,
    TAILLIGHT,
    Finish,
    Pattern,
    Rgb,
    any_paint,
    any_reflectance,
    grey,
    hsv,
)
from olivine.synth.model import Model
from olivine.synth.primitives import bar, box, frustum

CAR, TRUCK, TRAILER, BUS_BENDY, BUS_RIGID, CONSTRUCTION = 17, 23, 22, 15, 16, 18


def car(rng: np.random.Generator) -> Model:
    """A hatchback, saloon, estate, van or pick-up: 3.6 to 5.2 m long."""
    model = Model(CAR)
    kind = rng.choice(["hatch", "saloon", "suv", "van"], p=[0.3, 0.35, 0.25, 0.1])
    length, width = rng.uniform(3.7, 4.9) + 0.4 * (kind == "van"), rng.uniform(1.68, 1.92)
    clearance, waist = rng.uniform(0.16, 0.24), rng.uniform(0.78, 0.9) + 0.15 * (kind in ("suv", "van"))
    top = rng.uniform(1.4, 1.5) + {"hatch": 0.03, "saloon": 0.0, "suv": 0.25, "van": 0.5}[str(kind)]
    paint = _paint(rng, any_paint(rng))
    model.add(box((length, width, waist - clearance), (0.0, 0.0, clearance), (0.985, 0.96)), paint)
    start, end = {"hatch": (-0.48, 0.2), "saloon": (-0.36, 0.18), "suv": (-0.49, 0.2), "van": (-0.49, 0.34)}[str(kind)]
    cabin_length, middle = (end - start) * length, (end + start) / 2 * length
    glass_height = (top - waist) * 0.86
    cabin_taper = (0.72 if kind == "saloon" else 0.82, 0.84)
    model.add(box((cabin_length, width * 0.94, glass_height), (middle, 0.0, waist), cabin_taper, -0.05), GLASS)
    roof_size = (cabin_length * cabin_taper[0], width * 0.94 * cabin_taper[1], (top - waist) - glass_height)
    model.add(box(roof_size, (middle - 0.05, 0.0, waist + glass_height), (0.93, 0.93)), paint)
    for side in (-1.0, 1.0):
        post = bar((middle, side * width * 0.475, waist), (middle - 0.05, side * width * 0.4, top - 0.06), 0.09)
        model.add(post, paint)
    _lights(model, length, width, waist - 0.28)
    _wheels(model, (-0.31 * length, 0.3 * length), width, rng.uniform(0.3, 0.36) + 0.04 * (kind == "suv"))
    return model


def truck(rng: np.random.Generator) -> Model:
    """A cab with a box, a tipper or a flat bed: 5.5 to 10 m long."""
    model = Model(TRUCK)
    length, width, height = rng.uniform(5.6, 9.5), rng.uniform(2.1, 2.5), rng.uniform(2.5, 3.6)
    cab_length, bed = rng.uniform(1.6, 2.2), rng.uniform(0.8, 1.05)
    paint = _paint(rng, any_paint(rng))
    _cab(model, length / 2 - cab_length / 2, (cab_length, width * 0.96, min(height, 2.8)), paint)
    cargo_length = length - cab_length - 0.15
    cargo_x = -length / 2 + cargo_length / 2
    model.add(box((length - 0.4, width * 0.5, 0.3), (-0.1, 0.0, bed - 0.35)), DARK)
    kind = rng.choice(["box", "tipper", "flat"], p=[0.65, 0.2, 0.15])
    cargo_height = {"box": height - bed, "tipper": 1.3, "flat": 0.35}[str(kind)]
    model.add(box((cargo_length, width, cargo_height), (cargo_x, 0.0, bed)), _cargo_side(rng))
    if kind == "tipper":
        load = Finish(grey(0.45), grain=0.5, grain_per_m=6.0)
        model.add(box((cargo_length * 0.9, width * 0.85, 0.4), (cargo_x, 0.0, bed + 1.3), (0.6, 0.4)), load)
    _wheels(model, (-0.36 * length, -0.24 * length, 0.36 * length), width, 0.48)
    _tail(model, -length / 2, width, 0.7)
    return model


def trailer(rng: np.random.Generator) -> Model:
    """A box, container or tank on its own wheels: 5 to 12 m long."""
    model = Model(TRAILER)
    length, width, bed = rng.uniform(5.5, 11.5), rng.uniform(2.3, 2.5), rng.uniform(1.0, 1.2)
    model.add(box((length * 0.96, width * 0.4, 0.25), (0.0, 0.0, bed - 0.27)), DARK)
    if rng.random() < 0.2:
        tank = Finish(any_paint(rng), grain=0.05, reflectance=any_reflectance(rng, 0.4))
        model.add(frustum((width * 0.46, width * 0.46), length, (-length / 2, 0.0, bed + width * 0.46), "x", 12), tank)
    else:
        model.add(box((length, width, rng.uniform(2.1, 2.7)), (0.0, 0.0, bed)), _cargo_side(rng))
    _wheels(model, (-0.42 * length, -0.3 * length), width, 0.5)
    for side in (-1.0, 1.0):
        model.add(bar((length * 0.3, side * 0.6, 0.02), (length * 0.3, side * 0.6, bed), 0.14), STEEL)
    _tail(model, -length / 2, width, 0.75)
    return model


def bus(rng: np.random.Generator) -> Model:
    """A city bus of 9 to 12.5 m, or a bendy one of 17 m in two sections."""
    bendy = rng.random() < 0.15
    model = Model(BUS_BENDY if bendy else BUS_RIGID)
    length, width, height = (17.0 if bendy else rng.uniform(9.0, 12.3)), rng.uniform(2.4, 2.55), rng.uniform(2.9, 3.3)
    paint = _paint(rng, any_paint(rng))
    windows = Finish(
        grey(0.2),
        paint.rgb,
        Pattern.RIBS,
        (rng.uniform(1.1, 1.7), 1.0),
        grain=0.06,
        reflectance=any_reflectance(rng, 0.12),
    )
    sections = [(length * 0.27, length * 0.46), (-length * 0.26, length * 0.48)] if bendy else [(0.0, length)]
    for middle, extent in sections:
        model.add(box((extent, width, 0.85), (middle, 0.0, 0.32)), paint)
        model.add(box((extent, width * 0.99, height - 2.05), (middle, 0.0, 1.17), (1.0, 0.98)), windows)
        model.add(box((extent, width * 0.97, 0.88), (middle, 0.0, height - 0.88), (0.99, 0.92)), paint)
    if bendy:
        joint = Finish(grey(0.2), grey(0.1), Pattern.RIBS, (0.2, 1.0))
        model.add(box((length * 0.06, width * 0.9, height - 0.6), (length * 0.01, 0.0, 0.4)), joint)
    _wheels(model, (-0.34 * length, 0.3 * length), width, 0.48)
    _lights(model, length, width, 0.6)
    return model


def construction_vehicle(rng: np.random.Generator) -> Model:
    """An excavator or a wheel loader with its arm: body, cabin, tracks or wheels, boom, bucket."""
    model = Model(CONSTRUCTION)
    yellowish = hsv(rng.uniform(0.08, 0.14), 0.85, rng.uniform(0.6, 0.9))
    paint = _paint(rng, yellowish if rng.random() < 0.55 else any_paint(rng))
    length, width = rng.uniform(3.2, 4.4), rng.uniform(2.0, 2.6)
    if rng.random() < 0.6:
        tracks = Finish(grey(0.2), grey(0.07), Pattern.RIBS, (0.3, 1.0), grain=0.3)
        for side in (-1.0, 1.0):
            model.add(box((length, 0.5, 0.75), (0.0, side * (width / 2 - 0.25), 0.02), (0.85, 1.0)), tracks)
    else:
        _wheels(model, (-0.32 * length, 0.32 * length), width, 0.65, tyre_m=0.45)
    model.add(box((length * 0.85, width * 0.8, 0.95), (-0.2, 0.0, 0.72), (0.95, 0.95)), paint)
    model.add(box((1.2, width * 0.5, 1.2), (0.15, width * 0.12, 1.65), (0.85, 0.9)), GLASS)
    model.add(box((1.1, width * 0.46, 0.1), (0.15, width * 0.12, 2.85)), paint)
    elbow = (length * 0.5 + rng.uniform(0.6, 1.4), -0.3, rng.uniform(2.9, 4.3))
    hand = (elbow[0] + rng.uniform(0.5, 1.4), -0.3, rng.uniform(0.7, 1.4))
    model.add(bar((length * 0.25, -0.3, 1.4), elbow, 0.38), paint)
    model.add(bar(elbow, hand, 0.3), paint)
    model.add(box((0.8, 1.1, 0.65), (hand[0], -0.3, hand[2] - 0.6), (1.2, 1.0)), STEEL)
    return model


def _paint(rng: np.random.Generator, rgb: Rgb) -> Finish:
    return Finish(rgb, grain=0.05, grain_per_m=3.0, reflectance=any_reflectance(rng, 0.32))


def _cargo_side(rng: np.random.Generator) -> Finish:
    """The side of a cargo box: plain, ribbed, or with a large blotch where the firm's name would be."""
    pattern = Pattern(rng.choice([Pattern.NONE, Pattern.RIBS, Pattern.BLOTCH], p=[0.3, 0.4, 0.3]))
    cell = (rng.uniform(0.25, 0.6), 1.0) if pattern == Pattern.RIBS else (4.0, 2.5)
    base = any_paint(rng)
    darker = (base[0] * 0.72, base[1] * 0.72, base[2] * 0.72)
    alt = darker if pattern == Pattern.RIBS else any_paint(rng)
    return Finish(base, alt, pattern, cell, grain=0.06, reflectance=any_reflectance(rng, 0.35))


def _cab(model: Model, x_m: float, size_m: tuple[float, float, float], paint: Finish) -> None:
    """A lorry's cab: lower body, a band of glass, a roof; `size_m` is (length, width, top)."""
    length, width, top = size_m
    lower, glass = 1.5, top - 0.45
    model.add(box((length, width, lower - 0.45), (x_m, 0.0, 0.45)), paint)
    model.add(box((length, width * 0.98, glass - lower), (x_m, 0.0, lower), (0.92, 0.95), -0.06), GLASS)
    model.add(box((length * 0.92, width * 0.93, top - glass), (x_m - 0.06, 0.0, glass), (0.9, 0.94)), paint)
    front = x_m + length / 2
    for side in (-1.0, 1.0):
        model.add(box((0.06, 0.3, 0.2), (front, side * width * 0.36, 0.65)), HEADLIGHT)


def _wheels(model: Model, axles_m: tuple[float, ...], width: float, radius_m: float, tyre_m: float = 0.24) -> None:
    tyre = frustum((radius_m, radius_m), tyre_m, (0.0, 0.0, radius_m), "y", 10)
    hub = frustum((radius_m * 0.55, radius_m * 0.55), 0.02, (0.0, 0.0, radius_m), "y", 8)
    for axle in axles_m:
        for side in (-1.0, 1.0):
            outside = side * (width / 2 + 0.01)
            model.add(tyre.shifted((axle, outside - (tyre_m if side > 0 else 0.0), 0.0)), RUBBER)
            model.add(hub.shifted((axle, outside - (0.015 if side > 0 else 0.005), 0.0)), STEEL)


def _lights(model: Model, length: float, width: float, height_m: float) -> None:
    for side in (-1.0, 1.0):
        model.add(box((0.06, 0.32, 0.14), (length / 2 - 0.02, side * width * 0.36, height_m)), HEADLIGHT)
    _tail(model, -length / 2 + 0.02, width, height_m)
    model.add(box((0.04, 0.5, 0.12), (length / 2, 0.0, height_m - 0.2)), PLATE)


def _tail(model: Model, x_m: float, width: float, height_m: float) -> None:
    for side in (-1.0, 1.0):
        model.add(box((0.06, 0.26, 0.16), (x_m, side * width * 0.38, height_m)), TAILLIGHT)
    model.add(box((0.04, 0.5, 0.12), (x_m, 0.0, height_m - 0.1)), PLATE)
