"""Boxes of one keyframe: which objects the sweep saw, how many points each has, how visible it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from olivine.synth.arrays import F64, I64
from olivine.synth.camera import View
from olivine.synth.lidar import Sweep
from olivine.synth.poses import Pose, euler_rotation
from olivine.synth.rig import Camera
from olivine.synth.world import Instance

_FILL = 0.6
"""Share of its box's outline that an unhidden object typically covers in an image."""


@dataclass(frozen=True)
class Annotation:
    """One object in one keyframe; `visibility` is the nuScenes token "1" (0-40 %) to "4" (80-100 %)."""

    instance: Instance
    num_lidar_points: int
    visibility: str


def annotate(
    instances: list[Instance],
    sweep: Sweep,
    lidar_on_map: Pose,
    views: list[tuple[Camera, Pose, View]],
) -> list[Annotation]:
    """Annotations of all objects that the sweep hit at least once, counting the points inside each box.

    `lidar_on_map` must be the pose that a reader gets from the tables, so that a recount gives the same number.
    """
    touched = set(np.unique(sweep.instance_N).tolist())
    chosen = [instance for instance in instances if instance.number in touched]
    points_N3 = lidar_on_map.apply(sweep.points_N5[:, :3].astype(np.float64))
    points_N3 = points_N3[np.argsort(points_N3[:, 0], kind="stable")]
    highest = max((instance.number for instance in instances), default=0) + 1
    pixels = sum(
        (np.bincount(view.instance_HW.ravel(), minlength=highest)[:highest] for _, _, view in views),
        start=np.zeros(highest, np.int64),
    )
    annotations = []
    for instance in chosen:
        count = count_inside(instance, points_N3)
        if count:
            annotations.append(Annotation(instance, count, _visibility(instance, pixels, views)))
    return annotations


def count_inside(instance: Instance, points_N3: F64) -> int:
    """Number of map points [N, 3], sorted by x, inside the box, faces included."""
    box = Pose(euler_rotation(instance.yaw_rad), np.array(instance.centre_m))
    width, length, height = instance.size_wlh_m
    reach = (length**2 + width**2 + height**2) ** 0.5 / 2
    first, last = np.searchsorted(points_N3[:, 0], [instance.centre_m[0] - reach, instance.centre_m[0] + reach])
    near = points_N3[first:last]
    inside = np.abs(box.unapply(near)) <= np.array([length, width, height]) / 2
    return int(inside.all(axis=1).sum())


def _visibility(instance: Instance, pixels_I: I64, views: list[tuple[Camera, Pose, View]]) -> str:
    """Visible pixels over those the object would cover unhidden, in the four nuScenes bins."""
    expected = sum(_expected_pixels(instance, camera, pose, view) for camera, pose, view in views)
    share = float(pixels_I[instance.number]) / (expected * _FILL) if expected > 0 else 0.0
    return str(1 + int(np.searchsorted([0.4, 0.6, 0.8], share, side="right")))


def _expected_pixels(instance: Instance, camera: Camera, pose: Pose, view: View) -> float:
    """Area in pixels of the box's outline, if its centre is in front of the camera and in the image."""
    centre = np.array(instance.centre_m)
    in_camera = pose.unapply(centre[None])[0]
    if in_camera[2] < 0.5:
        return 0.0
    column, row, _ = camera.intrinsic_33 @ (in_camera / in_camera[2])
    height_px, width_px = view.instance_HW.shape
    if not (0 <= column < width_px and 0 <= row < height_px):
        return 0.0
    along = np.abs(euler_rotation(instance.yaw_rad).T @ (centre - pose.translation_3))
    along /= np.sqrt((along * along).sum())
    width, length, height = instance.size_wlh_m
    outline_m2 = along @ np.array([width * height, length * height, width * length])
    return float(outline_m2 * camera.intrinsic_33[0, 0] * camera.intrinsic_33[1, 1] / (in_camera @ in_camera))
