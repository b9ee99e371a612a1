"""W2, project one sweep into six cameras and read the label of each pair: `python -m benchmarks.w2_projection`.

The rig imitates nuScenes: 34 720 points, six 1600 x 900 cameras, each exposed at its own time while the vehicle drives
through global coordinates of about 1 000 m. Masks of weak labels are in memory.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import digest, lidar_sweep
from benchmarks.measure import compare, main, repeat, row
from olivine.points.project import Camera, fuse_transforms, project_points, rotation_from_quaternion

YAWS_DEG = (0.0, -55.0, -110.0, 180.0, 110.0, 55.0)
WIDTH, HEIGHT, FOCAL_PX = 1600, 900, 1266.0
INTRINSIC = np.array([[FOCAL_PX, 0, 800.0], [0, FOCAL_PX, 450.0], [0, 0, 1]])
GOAL = 3.0

Result = tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8]]


def yaw_quaternion(degrees: float) -> list[float]:
    half = np.radians(degrees) / 2
    return [float(np.cos(half)), 0.0, 0.0, float(np.sin(half))]


def times(a: list[float], b: list[float]) -> list[float]:
    """Product of two quaternions."""
    (s, *u), (t, *v) = a, b
    return [s * t - float(np.dot(u, v)), *(float(x) for x in s * np.array(v) + t * np.array(u) + np.cross(u, v))]


FORWARD = [0.5, -0.5, 0.5, -0.5]
"""Turns a camera's axes (z forward, x right) into the vehicle's (x forward, y left)."""


def ego(time_s: float) -> dict[str, list[float]]:
    return {
        "translation": [1010.0 + 8 * time_s, 615.0 + 2 * time_s, 0.0],
        "rotation": yaw_quaternion(14.0 + 4 * time_s),
    }


@functools.cache
def scene() -> SimpleNamespace:
    generator = np.random.default_rng(0)
    points_N4 = lidar_sweep()
    return SimpleNamespace(
        points_N4=points_N4,
        lidar={"translation": [0.94, 0.0, 1.84], "rotation": yaw_quaternion(-90.0)},
        lidar_ego=ego(0.0),
        egos=[ego(-0.005 * (number + 1)) for number in range(6)],
        calibrations=[
            {"translation": [1.5, 0.1, 1.5], "rotation": times(yaw_quaternion(yaw), FORWARD)} for yaw in YAWS_DEG
        ],
        masks=generator.integers(0, 17, (6, HEIGHT, WIDTH), dtype=np.uint8),
    )


class CopiedCloud:
    """The cloud of the reference code: float32 coordinates, changed in place by every step."""

    def __init__(self, points_3N: NDArray[Any]) -> None:
        self.points_3N = points_3N

    def translate(self, offset: Any) -> None:
        """Add an offset [3]."""
        for axis in range(3):
            self.points_3N[axis] = self.points_3N[axis] + offset[axis]

    def rotate(self, rotation_33: NDArray[np.float64]) -> None:
        """Multiply by a matrix [3, 3]."""
        self.points_3N[:] = np.dot(rotation_33, self.points_3N)


def published(dtype: Any) -> Result:
    """Published formulation: one deep copy a camera, four steps in place, pairs appended by concatenation."""
    data = scene()
    original = CopiedCloud(np.ascontiguousarray(data.points_N4[:, :3].T.astype(dtype)))
    pair_point = np.empty(0, np.int64)
    pair_pixel = np.empty((0, 3), np.int64)
    pair_label = np.empty(0, np.uint8)
    for image in range(6):
        cloud = copy.deepcopy(original)
        cloud.rotate(rotation_from_quaternion(data.lidar["rotation"]))
        cloud.translate(np.array(data.lidar["translation"]))
        cloud.rotate(rotation_from_quaternion(data.lidar_ego["rotation"]))
        cloud.translate(np.array(data.lidar_ego["translation"]))
        cloud.translate(-np.array(data.egos[image]["translation"]))
        cloud.rotate(rotation_from_quaternion(data.egos[image]["rotation"]).T)
        cloud.translate(-np.array(data.calibrations[image]["translation"]))
        cloud.rotate(rotation_from_quaternion(data.calibrations[image]["rotation"]).T)
        depth = cloud.points_3N[2]
        with np.errstate(divide="ignore", invalid="ignore"):
            view = np.eye(4)
            view[:3, :3] = INTRINSIC
            homogeneous = np.concatenate((cloud.points_3N, np.ones((1, cloud.points_3N.shape[1]))))
            projected = np.dot(view, homogeneous)[:3]
            uv = (projected / projected[2:3].repeat(3, 0).reshape(3, -1))[:2].T
        mask = np.ones(depth.shape[0], dtype=bool)
        mask = np.logical_and(mask, depth > 1.0)
        mask = np.logical_and(mask, uv[:, 0] > 0)
        mask = np.logical_and(mask, uv[:, 0] < WIDTH - 1)
        mask = np.logical_and(mask, uv[:, 1] > 0)
        mask = np.logical_and(mask, uv[:, 1] < HEIGHT - 1)
        matching_point = np.where(mask)[0]
        matching_pixel = np.round(np.flip(uv[matching_point], axis=1)).astype(np.int64)
        pair_label = np.concatenate((pair_label, data.masks[image][matching_pixel[:, 0], matching_pixel[:, 1]]))
        pair_point = np.concatenate((pair_point, matching_point))
        numbers = np.full((len(matching_pixel), 1), image, np.int64)
        pair_pixel = np.concatenate((pair_pixel, np.concatenate((numbers, matching_pixel), axis=1)))
    return pair_point, pair_pixel, pair_label


def olivine() -> Result:
    """Ours: fused matrices, points dismissed before the division. The matrices are made anew for every sweep."""
    data = scene()
    cameras = [
        Camera(f"{i}", fuse_transforms(data.lidar, data.lidar_ego, ego, calibration), INTRINSIC, WIDTH, HEIGHT)
        for i, (ego, calibration) in enumerate(zip(data.egos, data.calibrations, strict=True))
    ]
    pairs = project_points(data.points_N4[:, :3], cameras)
    image, rows, columns = pairs.pixel_M3.T
    return pairs.point_M, pairs.pixel_M3, data.masks[image, rows, columns]


def devkit() -> Callable[[], None]:
    """`map_pointcloud_to_image` of the nuScenes devkit, which reads the sweep and opens the image in every call."""
    from nuscenes.nuscenes import NuScenesExplorer
    from PIL import Image

    data, folder = scene(), tempfile.TemporaryDirectory()
    sweep_N5 = np.column_stack([data.points_N4, np.zeros(len(data.points_N4))]).astype(np.float32)
    sweep_N5.tofile(Path(folder.name) / "sweep.pcd.bin")
    Image.new("RGB", (WIDTH, HEIGHT)).save(Path(folder.name) / "image.jpg")
    records: dict[tuple[str, str], dict[str, Any]] = {
        ("sample_data", "lidar"): {"filename": "sweep.pcd.bin", "sensor_modality": "lidar"},
        ("calibrated_sensor", "lidar"): data.lidar,
        ("ego_pose", "lidar"): data.lidar_ego,
    }
    for image in range(6):
        records["sample_data", f"{image}"] = {"filename": "image.jpg"}
        records["ego_pose", f"{image}"] = data.egos[image]
        records["calibrated_sensor", f"{image}"] = data.calibrations[image] | {"camera_intrinsic": INTRINSIC.tolist()}
    for (_, token), record in records.items():
        record |= {"ego_pose_token": token, "calibrated_sensor_token": token}
    tables = SimpleNamespace(dataroot=folder.name, folder=folder, get=lambda table, token: records[table, token])
    explorer = NuScenesExplorer(tables)

    def project_all() -> None:
        for image in range(6):
            explorer.map_pointcloud_to_image("lidar", f"{image}")

    return project_all


CONTENDERS: dict[str, Callable[[], Callable[[], Any]]] = {
    "per_camera_copies": lambda: functools.partial(published, np.float32),
    "per_camera_copies_float64": lambda: functools.partial(published, np.float64),
    "devkit": devkit,
    "olivine": lambda: olivine,
}


def pair_digests(result: Result | None) -> dict[str, Any]:
    if result is None:
        return {}
    point, pixel, label = result
    joined = np.column_stack([point, pixel, label]).astype(np.int64)
    return {"num_pairs": len(joined), "pairs_sha256": hashlib.sha256(joined.tobytes()).hexdigest()}


def measure(contender: str) -> dict[str, Any]:
    """One contender in this process: times, memory, and the digest of its pairs."""
    call = CONTENDERS[contender]()
    return repeat(call) | pair_digests(call())


def run() -> list[dict[str, Any]]:
    """All contenders on the same sweep; ours must give the pairs of the published steps in float64 exactly."""
    results = compare("benchmarks.w2_projection", CONTENDERS)
    ours, reference = results["olivine"], results["per_camera_copies"]
    identical = ours["pairs_sha256"] == results["per_camera_copies_float64"]["pairs_sha256"]
    line = row("W2", ours["median_ms"], reference["median_ms"], GOAL, "ms per sweep")
    about = {"input": "34 720 points, 6 cameras", "digest": digest(scene().points_N4), "contenders": results}
    return [line | {"met": line["met"] and identical, "identical_pairs": identical} | about]


if __name__ == "__main__":
    main(__doc__, run, measure)
