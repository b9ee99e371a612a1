"""A model: patches with finishes, in its own frame, before it is placed in a street."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from olivine.synth.appearance import Finish
from olivine.synth.arrays import F64
from olivine.synth.primitives import Patch


@dataclass
class Model:
    """One object: x forward, y left, z up, origin on the ground; `raw_category` is the nuScenes-lidarseg raw index.

    `footprint_m` (length, width) is the ground it claims; without it, the bounding rectangle (a tree claims less than
    its crown covers). `is_thing` says whether it gets a box and a panoptic instance. `kitti` is SemanticKITTI's raw id,
    or 0 where the category tells it (`olivine.synth.kitti_ids`).
    """

    raw_category: int
    is_thing: bool = True
    parts: list[tuple[Patch, Finish]] = field(default_factory=list)
    footprint_m: tuple[float, float] | None = None
    kitti: int = 0
    kitti_parts: list[int] = field(default_factory=list)

    def add(self, patch: Patch, finish: Finish, kitti: int | None = None) -> None:
        """Append a part; `kitti` where its SemanticKITTI id is not the model's."""
        self.parts.append((patch, finish))
        self.kitti_parts.append(self.kitti if kitti is None else kitti)

    @cached_property
    def bounds(self) -> tuple[F64, F64]:
        """Lowest and highest corner [3], [3] of all parts, in metres; ask only when the model is complete."""
        corners = np.concatenate([patch.triangles_T33 for patch, _ in self.parts]).reshape(-1, 3)
        return corners.min(axis=0).astype(np.float64), corners.max(axis=0).astype(np.float64)

    @cached_property
    def claimed_ground(self) -> Rectangle:
        """The rectangle this model claims, in its own frame."""
        low, high = self.bounds
        centre_x, centre_y = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
        length, width = self.footprint_m or (high[0] - low[0], high[1] - low[1])
        return Rectangle(float(centre_x), float(centre_y), float(length), float(width), 0.0)


@dataclass(frozen=True)
class Rectangle:
    """A rectangle on the ground: centre in metres, length along its heading, width across, heading in radians."""

    x_m: float
    y_m: float
    length_m: float
    width_m: float
    yaw_rad: float

    def placed(self, x_m: float, y_m: float, yaw_rad: float) -> Rectangle:
        """This rectangle carried along when its frame is put at (x, y) with heading `yaw_rad`."""
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        return Rectangle(
            x_m + cos * self.x_m - sin * self.y_m,
            y_m + sin * self.x_m + cos * self.y_m,
            self.length_m,
            self.width_m,
            yaw_rad + self.yaw_rad,
        )

    def corners(self) -> F64:
        """The four corners [4, 2] in metres."""
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        along = np.array([-0.5, 0.5, 0.5, -0.5]) * self.length_m
        across = np.array([-0.5, -0.5, 0.5, 0.5]) * self.width_m
        return np.stack([self.x_m + cos * along - sin * across, self.y_m + sin * along + cos * across], axis=1)

    def overlaps(self, other: Rectangle) -> bool:
        """Whether the two rectangles share ground (separating-axis test)."""
        dx, dy = other.x_m - self.x_m, other.y_m - self.y_m
        turn = other.yaw_rad - self.yaw_rad
        cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
        for one, two in ((self, other), (other, self)):
            axis_x, axis_y = math.cos(one.yaw_rad), math.sin(one.yaw_rad)
            along, across = abs(axis_x * dx + axis_y * dy), abs(-axis_y * dx + axis_x * dy)
            if 2.0 * along >= one.length_m + two.length_m * cos + two.width_m * sin:
                return False
            if 2.0 * across >= one.width_m + two.length_m * sin + two.width_m * cos:
                return False
        return True
