"""Projection against the published five steps, written as plain loops, and against the official devkit."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import DataError
from olivine.ingest.nuscenes import load_sweep, read_keyframes
from olivine.points.project import Camera, fuse_transforms, project_points, rotation_from_quaternion

PIXELS = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
"""With this matrix and depth z, pixel u is x / z."""


def real_root() -> Path:
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real keyframe to compare with")
    return Path(os.environ["OLIVINE_REAL_DATA"]) / "nuscenes"


def turn(quaternion, vector):
    """Rotate by q v q*, in plain Python, sharing nothing with the matrix form under test."""
    norm = math.sqrt(sum(part * part for part in quaternion))
    w, *axis = (part / norm for part in quaternion)

    def cross(a, b):
        return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]

    twice = [2 * part for part in cross(axis, vector)]
    return [v + w * t + c for v, t, c in zip(vector, twice, cross(axis, twice), strict=True)]


def turn_back(quaternion, vector):
    w, x, y, z = quaternion
    return turn([w, -x, -y, -z], vector)


def plus(a, b):
    return [first + second for first, second in zip(a, b, strict=True)]


def minus(a, b):
    return [first - second for first, second in zip(a, b, strict=True)]


def project_by_loops(points, lidar, lidar_ego, images, min_depth_m=1.0):
    """Method by its five steps; `images` holds (camera ego, camera calibration, intrinsic, width, height)."""
    pairs = []
    for number, (ego, calibration, k, width, height) in enumerate(images):
        for index, point in enumerate(points):
            p1 = plus(turn(lidar["rotation"], [float(value) for value in point]), lidar["translation"])
            p2 = plus(turn(lidar_ego["rotation"], p1), lidar_ego["translation"])
            p3 = turn_back(ego["rotation"], minus(p2, ego["translation"]))
            x, y, depth = turn_back(calibration["rotation"], minus(p3, calibration["translation"]))
            if depth <= min_depth_m:
                continue
            u = (k[0][0] * x + k[0][1] * y + k[0][2] * depth) / depth
            v = (k[1][0] * x + k[1][1] * y + k[1][2] * depth) / depth
            if 0 < u < width - 1 and 0 < v < height - 1:
                pairs.append((index, number, round(v), round(u)))
    return pairs


def as_tuples(pairs):
    return [(int(point), *map(int, pixel)) for point, pixel in zip(pairs.point_M, pairs.pixel_M3, strict=True)]


def random_pose(rng, reach_m):
    quaternion = rng.normal(size=4)
    return {
        "rotation": (quaternion / np.linalg.norm(quaternion)).tolist(),
        "translation": rng.normal(0, reach_m, 3).tolist(),
    }


def flat_camera(width=11, height=9, name="CAM"):
    return Camera(name, np.eye(4), PIXELS, width, height)


# Seeds rather than free floats: points in general position, where a last-digit difference between the fused and the
# stepwise form cannot move a point over an edge. The edges have tests of their own.
@settings(max_examples=500, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_points=st.integers(0, 40), num_cameras=st.integers(1, 3))
def test_equals_the_published_steps(seed, num_points, num_cameras):
    rng = np.random.default_rng(seed)
    points_N3 = rng.normal(0, 30, (num_points, 3)).astype(np.float32)
    lidar = random_pose(rng, 2)
    ego = {"rotation": random_pose(rng, 1)["rotation"], "translation": rng.normal(1000, 300, 3).tolist()}
    images, cameras = [], []
    for number in range(num_cameras):
        calibration = random_pose(rng, 2)
        camera_ego = {"rotation": ego["rotation"], "translation": plus(ego["translation"], rng.normal(0, 0.5, 3))}
        width, height = (int(side) for side in rng.integers(20, 2000, 2))
        focal = rng.uniform(0.1, 1) * width
        k = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
        images.append((camera_ego, calibration, k, width, height))
        fused = fuse_transforms(lidar, ego, camera_ego, calibration)
        cameras.append(Camera(f"CAM_{number}", fused, np.array(k), width, height))
    pairs = project_points(points_N3, cameras)
    assert as_tuples(pairs) == project_by_loops(points_N3, lidar, ego, images)
    assert pairs.point_M.dtype == np.int32
    assert pairs.pixel_M3.dtype == np.int16
    assert pairs.pixel_M3.shape == (len(pairs.point_M), 3)


@pytest.mark.parametrize(
    ("u", "v", "kept"),
    [
        (0, 4, False),
        (1e-9, 4, True),
        (10, 4, False),
        (10 - 1e-9, 4, True),
        (4, 0, False),
        (4, 8, False),
        (4, 7.9, True),
    ],
)
def test_image_borders_are_strict(u, v, kept):
    pairs = project_points(np.array([[2 * u, 2 * v, 2.0]]), [flat_camera()])
    assert len(pairs.point_M) == int(kept)


def test_depth_border_is_strict():
    on_the_border, beyond, behind = [4.0, 4.0, 1.0], [5.0, 5.0, 1.25], [-5.0, -5.0, -1.25]
    assert project_points(np.array([on_the_border, beyond, behind]), [flat_camera()]).point_M.tolist() == [1]
    assert project_points(np.array([on_the_border, beyond]), [flat_camera()], min_depth_m=0.5).point_M.tolist() == [
        0,
        1,
    ]


def test_rounds_half_to_even():
    points = np.array([[2 * u, 2 * 2.5, 2.0] for u in (0.5, 1.5, 2.5, 3.5)])
    pairs = project_points(points, [flat_camera()])
    assert pairs.pixel_M3[:, 2].tolist() == [0, 2, 2, 4]
    assert pairs.pixel_M3[:, 1].tolist() == [2, 2, 2, 2]


def test_pairs_come_by_camera_then_by_point_and_overlap_gives_two():
    points = np.array([[8.0, 8.0, 2.0], [2.0, 2.0, 2.0]])
    pairs = project_points(points, [flat_camera(name="A"), flat_camera(name="B")])
    assert as_tuples(pairs) == [(0, 0, 4, 4), (1, 0, 1, 1), (0, 1, 4, 4), (1, 1, 1, 1)]


def test_no_camera_or_no_point_gives_no_pair():
    assert len(project_points(np.ones((3, 3)), []).point_M) == 0
    assert project_points(np.empty((0, 3)), [flat_camera()]).pixel_M3.shape == (0, 3)


def test_quaternion_agrees_with_plain_rotation():
    quaternion = [0.5720320396729045, -0.0016977771610471074, 0.011798001930183783, -0.8201446642457809]
    vector = [1.5, -2.0, 0.25]
    assert rotation_from_quaternion(quaternion) @ vector == pytest.approx(turn(quaternion, vector), abs=1e-12)


@pytest.mark.parametrize(
    "quaternion", [[1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [math.nan, 0, 0, 1], [math.inf, 0, 0, 0]]
)
def test_refuses_what_is_not_a_unit_quaternion(quaternion):
    with pytest.raises(DataError, match="camera calibration: rotation is not a rotation"):
        fuse_transforms(
            *[{"rotation": [1, 0, 0, 0], "translation": [0, 0, 0]}] * 3,
            {"rotation": quaternion, "translation": [0, 0, 0]},
        )


def test_refuses_a_translation_that_is_not_finite():
    sound = {"rotation": [1, 0, 0, 0], "translation": [0, 0, 0]}
    with pytest.raises(DataError, match="ego pose of the LiDAR: translation"):
        fuse_transforms(sound, {**sound, "translation": [0, math.nan, 0]}, sound, sound)


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((3, 3)), np.eye(4), np.diag([1.0, 1.0, 2.0]), np.diag([1.0, np.nan, 1.0]), np.diag([-1.0, 1.0, 1.0])],
)
def test_camera_refuses_what_is_not_a_pinhole_matrix(matrix):
    with pytest.raises(DataError, match=r"CAM_BACK.*pinhole"):
        Camera("CAM_BACK", np.eye(4), matrix, 10, 10)


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (40_000, 10)])
def test_camera_refuses_what_is_not_an_image_size(size):
    with pytest.raises(DataError, match="image size"):
        Camera("CAM_BACK", np.eye(4), PIXELS, *size)


def test_real_keyframe_equals_the_published_steps():
    root = real_root()
    keyframe = read_keyframes(root, "v1.0-mini")[0]
    points_N3 = load_sweep(root / keyframe.lidar.file)[::7, :3]
    images = [
        (image.ego, image.calibration, image.intrinsic_33.tolist(), image.width_px, image.height_px)
        for image in keyframe.images
    ]
    expected = project_by_loops(points_N3, keyframe.lidar.calibration, keyframe.lidar.ego, images)
    assert len(expected) > 3000
    assert as_tuples(project_points(points_N3, keyframe.cameras())) == expected


@pytest.mark.filterwarnings("ignore")
def test_real_keyframe_equals_the_devkit(monkeypatch):
    """The devkit keeps points in float32, though global coordinates are 1e3 m; widened, it gives the same pairs."""
    root = real_root()
    from nuscenes import NuScenes
    from nuscenes.utils.data_classes import LidarPointCloud

    def in_float64(path):
        return LidarPointCloud(np.fromfile(path, np.float32).reshape(-1, 5)[:, :4].T.astype(np.float64))

    monkeypatch.setattr(LidarPointCloud, "from_file", in_float64)
    devkit = NuScenes("v1.0-mini", str(root), verbose=False)
    data = devkit.sample[0]["data"]
    keyframe = read_keyframes(root, "v1.0-mini")[0]
    points_N3 = load_sweep(root / keyframe.lidar.file)[:, :3].astype(np.float64)
    pairs = project_points(points_N3, keyframe.cameras())
    for number, camera in enumerate(keyframe.cameras()):
        uv, depth, image = devkit.explorer.map_pointcloud_to_image(data["LIDAR_TOP"], data[camera.name])
        image.close()
        ours = pairs.pixel_M3[:, 0] == number
        point_M, pixel_M2 = pairs.point_M[ours], pairs.pixel_M3[ours][:, 1:]
        # The devkit leaves a margin of one pixel more at the left and the top: compare where both look.
        our_side, its_side = (pixel_M2 > 1).all(axis=1), (np.rint(uv[:2]) > 1).all(axis=0)
        assert (pixel_M2[our_side] == np.rint(uv[1::-1].T)[its_side]).all()
        our_depth = points_N3[point_M[our_side]] @ camera.lidar_to_camera_44[2, :3] + camera.lidar_to_camera_44[2, 3]
        np.testing.assert_allclose(our_depth, depth[its_side], atol=1e-9)
        assert (~our_side).sum() - (~its_side).sum() < 10
