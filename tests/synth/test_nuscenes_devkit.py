"""The official nuScenes devkit, untouched, reads and scores a synthetic data set."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
from PIL import Image

from olivine.nuscenes_categories import RAW_TO_CATEGORY
from olivine.synth.rig import CAMERAS

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def nusc(tiny_drives):
    devkit = pytest.importorskip("nuscenes.nuscenes")
    yield devkit.NuScenes("v1.0-mini", str(tiny_drives), verbose=False)
    with warnings.catch_warnings():
        # The devkit leaves map images open until its objects are collected.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def sensor_chain(nusc, lidar, camera, camera_ego):
    """Points of a sweep in a camera: pixel columns and rows, depths."""
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import view_points
    from pyquaternion import Quaternion

    cloud = LidarPointCloud.from_file(nusc.get_sample_data_path(lidar["token"]))
    for table, row, forward in (
        ("calibrated_sensor", lidar, True),
        ("ego_pose", lidar, True),
        ("ego_pose", camera_ego, False),
        ("calibrated_sensor", camera, False),
    ):
        pose = nusc.get(table, row[f"{table}_token"])
        rotation = Quaternion(pose["rotation"]).rotation_matrix
        if forward:
            cloud.rotate(rotation)
            cloud.translate(np.array(pose["translation"]))
        else:
            cloud.translate(-np.array(pose["translation"]))
            cloud.rotate(rotation.T)
    depth = cloud.points[2]
    intrinsic = np.array(nusc.get("calibrated_sensor", camera["calibrated_sensor_token"])["camera_intrinsic"])
    u, v, _ = view_points(cloud.points[:3], intrinsic, normalize=True)
    return u, v, depth


def agreement(nusc, root, skip_camera_ego=False):
    """Share of labelled point-pixel pairs whose true pixel category is the point's category."""
    same, total = 0, 0
    for sample in nusc.sample:
        lidar = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
        label = RAW_TO_CATEGORY[np.fromfile(root / nusc.get("lidarseg", lidar["token"])["filename"], np.uint8)]
        for channel in CAMERAS:
            camera = nusc.get("sample_data", sample["data"][channel])
            u, v, depth = sensor_chain(nusc, lidar, camera, lidar if skip_camera_ego else camera)
            kept = (
                (depth > 1) & (u > 0) & (u < camera["width"] - 1) & (v > 0) & (v < camera["height"] - 1) & (label > 0)
            )
            truth = root / camera["filename"].replace("samples/", "synth_truth/").replace(".jpg", "_category.png")
            pixels = np.array(Image.open(truth))[np.rint(v[kept]).astype(int), np.rint(u[kept]).astype(int)]
            same += int((pixels == label[kept]).sum())
            total += int(kept.sum())
    return same / total


def test_every_table_links_up(nusc):
    for sample in nusc.sample:
        assert set(sample["data"]) == {"LIDAR_TOP", *CAMERAS}
        nusc.get("scene", sample["scene_token"])
        for token in sample["data"].values():
            row = nusc.get("sample_data", token)
            assert nusc.get("ego_pose", row["ego_pose_token"])["timestamp"] == row["timestamp"]
            path, boxes, _ = nusc.get_sample_data(token)
            assert path.endswith(row["filename"])
            assert len(boxes) <= len(sample["anns"])
    for scene in nusc.scene:
        assert nusc.get("log", scene["log_token"])["map_token"] in {row["token"] for row in nusc.map}
    for instance in nusc.instance:
        token, count = instance["first_annotation_token"], 0
        while token:
            row = nusc.get("sample_annotation", token)
            nusc.get("visibility", row["visibility_token"])
            assert all(nusc.get("attribute", attribute) for attribute in row["attribute_tokens"])
            last, token, count = token, row["next"], count + 1
        assert (last, count) == (instance["last_annotation_token"], instance["nbr_annotations"])


def test_sensors_have_clocks_and_ego_poses_of_their_own(nusc):
    for sample in nusc.sample:
        rows = [nusc.get("sample_data", token) for token in sample["data"].values()]
        places = {tuple(nusc.get("ego_pose", row["ego_pose_token"])["translation"]) for row in rows}
        assert len({row["timestamp"] for row in rows}) == len(places) == 7
        assert sample["timestamp"] == nusc.get("sample_data", sample["data"]["LIDAR_TOP"])["timestamp"]


def test_ego_vehicle_drives_five_to_ten_metres_a_second(nusc):
    for sample in nusc.sample:
        if not sample["next"]:
            continue
        rows = [nusc.get("sample_data", s["data"]["LIDAR_TOP"]) for s in (sample, nusc.get("sample", sample["next"]))]
        poses = [nusc.get("ego_pose", row["ego_pose_token"]) for row in rows]
        way = np.subtract(poses[1]["translation"], poses[0]["translation"])
        speed = np.linalg.norm(way) / ((poses[1]["timestamp"] - poses[0]["timestamp"]) * 1e-6)
        assert 4.8 < speed < 10.3


def test_projected_points_fall_on_pixels_of_their_category(nusc, tiny_drives):
    right, wrong = agreement(nusc, tiny_drives), agreement(nusc, tiny_drives, skip_camera_ego=True)

    print(f"{right:.4f} with the camera's ego pose, {wrong:.4f} with the LiDAR's")
    assert right > 0.9
    assert wrong < right - 0.01


def test_devkit_projection_and_label_colouring_run(nusc, tiny_drives):
    sample = nusc.sample[0]
    for flags in ({}, {"show_lidarseg": True}, {"show_panoptic": True}):
        points, colouring, image = nusc.explorer.map_pointcloud_to_image(
            sample["data"]["LIDAR_TOP"], sample["data"]["CAM_FRONT"], **flags
        )
        assert points.shape[1] == len(colouring) > 50
        assert image.size == (192, 108)
        image.close()


def test_recount_of_points_in_boxes_agrees(nusc, tiny_drives):
    from nuscenes.utils.geometry_utils import points_in_box

    num_boxes = 0
    for sample in nusc.sample:
        path, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
        points = np.fromfile(path, "<f4").reshape(-1, 5)[:, :3].T.astype(np.float64)
        for box in boxes:
            count = int(points_in_box(box, points).sum())
            assert count == nusc.get("sample_annotation", box.token)["num_lidar_pts"] > 0
            num_boxes += 1
    assert num_boxes > 50


def test_panoptic_labels_extend_the_lidarseg_labels(nusc, tiny_drives):
    for row in nusc.panoptic:
        panoptic = np.load(tiny_drives / row["filename"])["data"]
        raw = np.fromfile(tiny_drives / nusc.get("lidarseg", row["token"])["filename"], np.uint8)
        assert panoptic.dtype == np.uint16
        np.testing.assert_array_equal(panoptic // 1000, raw)
        assert (panoptic[raw >= 24] % 1000 == 0).all()
        assert (panoptic[raw == 17] % 1000 > 0).all()


def test_map_mask_knows_the_way(nusc):
    for sample in nusc.sample:
        log = nusc.get("log", nusc.get("scene", sample["scene_token"])["log_token"])
        mask = nusc.get("map", log["map_token"])["mask"]
        row = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
        x, y, _ = nusc.get("ego_pose", row["ego_pose_token"])["translation"]
        assert mask.is_on_mask(x, y)


def test_official_evaluator_gives_one_to_a_perfect_prediction(nusc, tiny_drives, tmp_path):
    evaluate = pytest.importorskip("nuscenes.eval.lidarseg.evaluate")
    for split in ("mini_val", "mini_train"):
        folder = tmp_path / "lidarseg" / split
        folder.mkdir(parents=True)
        for row in nusc.lidarseg:
            label = RAW_TO_CATEGORY[np.fromfile(tiny_drives / row["filename"], np.uint8)]
            np.maximum(label, 1).tofile(folder / f"{row['token']}_lidarseg.bin")
        result = evaluate.LidarSegEval(nusc, str(tmp_path), split).evaluate()
        assert result["miou"] == 1.0
