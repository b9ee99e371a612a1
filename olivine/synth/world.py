"""One scene as triangles: the ground and everything on it, with what the renderers and the labels need a triangle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.nuscenes_categories import RAW_TO_CATEGORY
from olivine.synth.appearance import Finish
from olivine.synth.arrays import F32, F64, U8, U16, Bool
from olivine.synth.ground import build_ground
from olivine.synth.kitti_ids import kitti_ids
from olivine.synth.model import Model, Rectangle
from olivine.synth.plot import Placed, Plot
from olivine.synth.primitives import Patch
from olivine.synth.roadside import add_boundaries, add_buildings, add_furniture, add_people, add_plants
from olivine.synth.street import Street
from olivine.synth.street_plan import draw_street
from olivine.synth.traffic import add_road_works, add_traffic, draw_density


@dataclass(frozen=True)
class Instance:
    """A countable object: its box on the map (centre, size = width, length, height in metres, heading in radians).

    `number` is the id in the instance images, `panoptic` the running number within its raw category (from 1).
    """

    number: int
    raw_category: int
    panoptic: int
    centre_m: tuple[float, float, float]
    size_wlh_m: tuple[float, float, float]
    yaw_rad: float


@dataclass(frozen=True)
class Mesh:
    """All T triangles of a scene, on the map, with their attributes.

    `uv_T6` is the texture coordinate of the first corner and its differences to the second and third, in metres.
    """

    triangles_T33: F32
    uv_T6: F32
    normal_T3: F32
    rgb_T3: F32
    alt_rgb_T3: F32
    cell_T2: F32
    pattern_T: U8
    grain_T: F32
    grain_per_m_T: F32
    reflectance_T: F32
    two_sided_T: Bool
    raw_T: U8
    category_T: U8
    kitti_T: U16
    instance_T: U16


@dataclass(frozen=True)
class World:
    """A street, its mesh, its countable objects, and the plot they stand on."""

    street: Street
    plot: Plot
    mesh: Mesh
    instances: list[Instance]

    def panoptic_numbers(self) -> U16:
        """Look-up table: instance id of the images -> running number in its raw category, 0 for stuff."""
        table = np.zeros(int(self.mesh.instance_T.max()) + 1, np.uint16)
        for instance in self.instances:
            table[instance.number] = instance.panoptic
        return table


def build_world(rng: np.random.Generator, travel_m: float) -> World:
    """Draws a street for a drive of `travel_m` metres and builds it."""
    street = draw_street(rng, travel_m)
    plot = Plot(street)
    density = draw_density(rng)
    add_buildings(rng, plot, density)
    add_road_works(rng, plot)
    add_traffic(rng, plot, density)
    add_boundaries(rng, plot)
    add_furniture(rng, plot)
    add_people(rng, plot, density)
    add_plants(rng, plot, density)
    return _assemble(rng, plot)


class _MeshBuilder:
    """Collects patches with the place of their frames and turns them into one `Mesh`."""

    def __init__(self) -> None:
        self._patches: list[Patch] = []
        self._finishes: list[Finish] = []
        self._owners: list[tuple[int, int]] = []
        self._kitti: list[int] = []
        self._places: list[tuple[float, float, float, float]] = []

    def add(self, parts: list[tuple[Patch, Finish]], raw_category: int, number: int, at: Placed | None = None) -> None:
        """Appends one object's parts, given on the map or, with `at`, in the frame of a placed model."""
        self._kitti += at.model.kitti_parts if at else [0] * len(parts)
        place = (0.0, 0.0, 0.0, 0.0) if at is None else (at.x_m, at.y_m, at.z_m, at.yaw_rad)
        for patch, finish in parts:
            self._patches.append(patch)
            self._finishes.append(finish)
            self._owners.append((raw_category, number))
            self._places.append(place)

    def mesh(self) -> Mesh:
        counts = np.array([len(patch.triangles_T33) for patch in self._patches])
        triangles = _on_map([patch.triangles_T33 for patch in self._patches], self._places)
        raw = np.repeat(np.array([owner[0] for owner in self._owners], np.uint8), counts)
        finishes = self._finishes

        def spread(values: list[Any], dtype: type) -> NDArray[Any]:
            return np.repeat(np.array(values, dtype), counts, axis=0)

        return Mesh(
            triangles_T33=triangles,
            uv_T6=_uv_edges(np.concatenate([patch.uv_T32 for patch in self._patches])),
            normal_T3=_normals(triangles),
            rgb_T3=spread([f.rgb for f in finishes], np.float32),
            alt_rgb_T3=spread([f.alt_rgb for f in finishes], np.float32),
            cell_T2=spread([f.cell_m for f in finishes], np.float32),
            pattern_T=spread([int(f.pattern) for f in finishes], np.uint8),
            grain_T=spread([f.grain for f in finishes], np.float32),
            grain_per_m_T=spread([f.grain_per_m for f in finishes], np.float32),
            reflectance_T=spread([f.reflectance for f in finishes], np.float32),
            two_sided_T=spread([f.two_sided for f in finishes], np.bool_),
            raw_T=raw,
            category_T=RAW_TO_CATEGORY[raw],
            kitti_T=np.repeat(kitti_ids([owner[0] for owner in self._owners], self._kitti), counts),
            instance_T=np.repeat(np.array([owner[1] for owner in self._owners], np.uint16), counts),
        )


def _assemble(rng: np.random.Generator, plot: Plot) -> World:
    builder = _MeshBuilder()
    number = 0
    for part in build_ground(rng, plot.street):
        number += 1
        builder.add(part.parts, part.raw_category, number)
    instances: list[Instance] = []
    seen: dict[int, int] = {}
    for placed in plot.placed:
        number += 1
        builder.add(placed.model.parts, placed.model.raw_category, number, placed)
        if placed.model.is_thing:
            raw = placed.model.raw_category
            seen[raw] = seen.get(raw, 0) + 1
            instances.append(_instance(placed, placed.model, number, seen[raw]))
    return World(plot.street, plot, builder.mesh(), instances)


def _instance(placed: Placed, model: Model, number: int, panoptic: int) -> Instance:
    low, high = model.bounds
    length, width, height = (float(c) for c in high - low)
    middle = Rectangle(float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2, length, width, 0.0)
    on_map = middle.placed(placed.x_m, placed.y_m, placed.yaw_rad)
    centre = (on_map.x_m, on_map.y_m, placed.z_m + float(low[2] + high[2]) / 2)
    return Instance(number, model.raw_category, panoptic, centre, (width, length, height), placed.yaw_rad)


def _on_map(patches: list[F32], places: list[tuple[float, float, float, float]]) -> F32:
    """All triangles [T, 3, 3], each turned about z and shifted to its place (x, y, z, heading)."""
    local_T33 = np.concatenate(patches).astype(np.float64)
    place_T4 = np.repeat(np.array(places), [len(patch) for patch in patches], axis=0)
    cos, sin = np.cos(place_T4[:, 3:]), np.sin(place_T4[:, 3:])
    x = cos * local_T33[..., 0] - sin * local_T33[..., 1] + place_T4[:, 0:1]
    y = sin * local_T33[..., 0] + cos * local_T33[..., 1] + place_T4[:, 1:2]
    on_map: F32 = np.stack([x, y, local_T33[..., 2] + place_T4[:, 2:3]], axis=-1).astype(np.float32)
    return on_map


def _uv_edges(uv_T32: F32) -> F32:
    """Texture coordinate of the first corner and the two edges from it [T, 6]."""
    first = uv_T32[:, 0]
    return np.concatenate([first, uv_T32[:, 1] - first, uv_T32[:, 2] - first], axis=1)


def _normals(triangles_T33: F32) -> F32:
    edges: F64 = triangles_T33.astype(np.float64)
    normal = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    length = np.sqrt((normal * normal).sum(axis=1, keepdims=True))
    unit: F32 = (normal / np.maximum(length, 1e-12)).astype(np.float32)
    return unit
