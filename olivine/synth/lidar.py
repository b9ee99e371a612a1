"""Simulates one LiDAR sweep: returns with range noise, drop-out, intensity, and the true label of every point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from olivine.synth.arrays import F32, U8, U16, Bool
from olivine.synth.kitti_ids import KITTI_OUTLIER, KITTI_UNLABELLED
from olivine.synth.poses import Pose
from olivine.synth.raycast import Hits, RayCaster
from olivine.synth.rig import Lidar
from olivine.synth.texture import pattern_amount, texture_coordinates
from olivine.synth.world import Mesh

MAX_RANGE_M: Final = 75.0
DROPOUT: Final = 0.04
RANGE_NOISE_M: Final = 0.02
_STRAY_SHARE: Final = 0.0005
_MIN_SIGNAL: Final = 0.0006
_MIN_INCIDENCE: Final = 0.012
RAW_EGO: Final = 31
_RAW_NOISE: Final = 0
_ALT_REFLECTANCE: Final = 0.6
_EGO_BOXES: Final = (
    ((-0.85, -0.88, 0.25), (3.45, 0.88, 0.95)),
    ((-0.55, -0.72, 0.95), (1.75, 0.72, 1.42)),
)
"""The ego vehicle's body and cabin in its own frame: lowest and highest corner in metres."""


@dataclass(frozen=True)
class Sweep:
    """Points [N, 5] (x, y, z in the sensor frame in metres, intensity 0..255, ring), raw category and instance [N].

    `kitti_N` are the raw ids of SemanticKITTI of the same points.
    """

    points_N5: F32
    raw_N: U8
    instance_N: U16
    kitti_N: U16


def scan(mesh: Mesh, caster: RayCaster, lidar: Lidar, sensor_on_map: Pose, rng: np.random.Generator) -> Sweep:
    """One keyframe's sweep; the motion of the vehicle within the sweep counts as already compensated."""
    rays = lidar.directions_N3
    directions = np.einsum("ij,nj->ni", sensor_on_map.rotation_33.astype(np.float32), rays)
    hits = caster.cast(sensor_on_map.translation_3.astype(np.float32), directions)
    triangle = np.maximum(hits.triangle_N, 0)
    is_hit = hits.triangle_N >= 0
    incidence = np.abs((mesh.normal_T3[triangle] * directions).sum(axis=1))
    reflectance = _reflectance(mesh, Hits(triangle, hits.distance_N, hits.u_N, hits.v_N))
    ego_range = _range_to_ego(lidar, rays)
    is_ego = ego_range < np.where(is_hit, hits.distance_N, np.inf)
    true_range = np.where(is_ego, ego_range, hits.distance_N)
    measured = true_range + rng.normal(0.0, RANGE_NOISE_M, len(rays))
    stray = (rng.random(len(rays)) < _STRAY_SHARE) & is_hit & ~is_ego
    measured = np.where(stray, true_range * rng.uniform(0.1, 0.9, len(rays)), measured)
    strength = np.where(is_ego, 0.05, reflectance * incidence)
    returned = _returned(is_hit | is_ego, measured, strength, np.where(is_ego, 1.0, incidence), rng)
    raw = np.where(is_ego, RAW_EGO, np.where(stray, _RAW_NOISE, mesh.raw_T[triangle])).astype(np.uint8)
    kitti = np.where(is_ego, KITTI_UNLABELLED, np.where(stray, KITTI_OUTLIER, mesh.kitti_T[triangle])).astype(np.uint16)
    instance = np.where(is_ego | stray, 0, mesh.instance_T[triangle]).astype(np.uint16)
    intensity = np.clip(np.rint(strength * 150.0 + rng.normal(0.0, 2.0, len(rays))), 0, 255)
    # Millimetres and whole intensities, so that the last bit of a processor's arithmetic does not reach the file.
    rounded = np.round(measured, 3)
    points = np.column_stack([rays * rounded[:, None], intensity, lidar.rings_N]).astype(np.float32)
    return Sweep(points[returned], raw[returned], instance[returned], kitti[returned])


def _returned(is_hit: Bool, range_N: F32, strength_N: F32, incidence_N: F32, rng: np.random.Generator) -> Bool:
    """Which rays come back: near enough, not grazing, strong enough, and not dropped by chance."""
    signal = strength_N * (20.0 / np.maximum(range_N, 1.0)) ** 2
    kept = rng.random(len(range_N)) >= DROPOUT
    near = (range_N > 0.3) & (range_N <= MAX_RANGE_M)
    returned: Bool = is_hit & near & (incidence_N > _MIN_INCIDENCE) & (signal > _MIN_SIGNAL) & kept
    return returned


def _reflectance(mesh: Mesh, hits: Hits) -> F32:
    """Reflectance [N]: the finish's own, moved towards that of its second colour where the pattern shows it."""
    own = mesh.reflectance_T[hits.triangle_N]
    footprint = np.zeros(len(hits.triangle_N), np.float32)
    amount = pattern_amount(mesh, hits.triangle_N, texture_coordinates(mesh, hits), footprint)
    bright = mesh.alt_rgb_T3[hits.triangle_N].mean(axis=1) * _ALT_REFLECTANCE
    mixed: F32 = own * (1.0 - 0.5 * amount) + bright * amount * 0.5
    return mixed


def _range_to_ego(lidar: Lidar, rays_N3: F32) -> F32:
    """Distance [N] to the ego vehicle's own body along rays in the sensor frame; infinite where they pass it."""
    directions = np.einsum("ij,nj->ni", lidar.pose.rotation_33, rays_N3.astype(np.float64))
    directions = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    nearest = np.full(len(rays_N3), np.inf)
    for low, high in _EGO_BOXES:
        to_low = (np.array(low) - lidar.pose.translation_3) / directions
        to_high = (np.array(high) - lidar.pose.translation_3) / directions
        enter = np.minimum(to_low, to_high).max(axis=1)
        leave = np.maximum(to_low, to_high).min(axis=1)
        nearest = np.where((enter < leave) & (enter > 0), np.minimum(nearest, enter), nearest)
    return nearest.astype(np.float32)
