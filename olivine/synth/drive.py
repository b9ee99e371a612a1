"""The ego vehicle's way through a scene: where it is at any moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from olivine.synth.poses import Pose, euler_rotation
from olivine.synth.street import Street

KEYFRAME_PERIOD_S: Final = 0.5


@dataclass(frozen=True)
class Drive:
    """Constant speed along a lane with a slow sway; times in microseconds since the first keyframe."""

    street: Street
    speed_mps: float
    sway_m: float
    phase_rad: float
    tilt_rad: tuple[float, float]

    def pose(self, time_us: int) -> Pose:
        """Pose of the ego frame (middle of the rear axle on the ground, x forward) on the map."""
        seconds = time_us * 1e-6
        s = self.speed_mps * seconds
        angle = self.phase_rad + 0.9 * seconds
        t = self.street.lanes[self.street.ego_lane].t_m + self.sway_m * math.sin(angle)
        drift = self.sway_m * 0.9 * math.cos(angle) / self.speed_mps
        x, y, road_heading = self.street.to_map(s, t)
        pitch = self.tilt_rad[0] * math.sin(1.7 * angle)
        roll = self.tilt_rad[1] * math.cos(1.3 * angle)
        return Pose(euler_rotation(road_heading + drift, pitch, roll), np.array([x, y, 0.0]))


def draw_drive(rng: np.random.Generator, street: Street, speed_mps: float) -> Drive:
    """A drive at `speed_mps` with a sway below 15 cm and tilts below half a degree."""
    tilt = (math.radians(rng.uniform(0.1, 0.5)), math.radians(rng.uniform(0.1, 0.5)))
    return Drive(street, speed_mps, rng.uniform(0.02, 0.15), rng.uniform(0.0, 2 * math.pi), tilt)


def travel_m(num_keyframes: int, speed_mps: float) -> float:
    """Length of the drive between the first and the last keyframe, in metres."""
    return (num_keyframes - 1) * KEYFRAME_PERIOD_S * speed_mps
