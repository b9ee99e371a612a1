"""Synthetic frames in KITTI's layout: boxes of points on a plane of points, with KITTI's camera. Not real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from olivine.detect.calibration import Calibration, parse_calibration
from olivine.detect.geometry import boxes_to_camera, image_boxes, points_in_boxes

IMAGE_SIZE = (1242, 375)
CALIBRATION = """P0: 721.5 0 609.5 0 0 721.5 172.8 0 0 0 1 0
P2: 721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884
R0_rect: 0.9999239 0.00983776 -0.007445048 -0.0098698 0.9999421 -0.004278459 0.007402527 0.004351614 0.9999631
Tr_velo_to_cam: 0.007533745 -0.9999714 -0.000616602 -0.004069766 0.01480249 0.0007280733 -0.9998902 -0.07631618 0.9998621 0.00752379 0.01480755 -0.2717806

"""
GROUND_M = -1.73
SIZES = {"Car": (3.9, 1.6, 1.56), "Pedestrian": (0.8, 0.6, 1.73), "Cyclist": (1.76, 0.6, 1.73)}


def calibration() -> Calibration:
    return parse_calibration(CALIBRATION, "synthetic")


def car(x, y, yaw, kind="Car"):
    """A box (x, y, z, length, width, height, yaw) that stands on the ground."""
    length, width, height = SIZES[kind]
    return np.array([x, y, GROUND_M + height / 2, length, width, height, yaw])


def label_line(kind, box_7, extra=""):
    bottom, size, yaw = boxes_to_camera(box_7[None], calibration())
    edges = image_boxes(bottom, size, yaw, calibration(), IMAGE_SIZE)[0]
    alpha = yaw[0] - np.arctan2(bottom[0, 0], bottom[0, 2])
    numbers = [alpha, *edges, *size[0], *bottom[0], yaw[0]]
    return f"{kind} 0.00 0 " + " ".join(f"{number:.4f}" for number in numbers) + extra


def shell(box_7, num_points, rng):
    """Points on the four sides and the top of a box, a hair inside of it."""
    unit = rng.uniform(-1, 1, (num_points, 3))
    axis = rng.choice([0, 1, 2], num_points, p=[0.3, 0.4, 0.3])
    unit[np.arange(num_points), axis] = np.where(axis == 2, 1, np.sign(unit[np.arange(num_points), axis]))
    local = unit * (box_7[3:6] / 2 - 0.01)
    cos, sin = np.cos(box_7[6]), np.sin(box_7[6])
    turned = np.column_stack(
        [cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1], local[:, 2]]
    )
    return turned + box_7[:3]


def sweep(boxes, rng, num_ground=3000):
    ground = np.column_stack([rng.uniform(2, 45, num_ground), rng.uniform(-20, 20, num_ground)])
    ground = np.column_stack([ground, np.full(num_ground, GROUND_M)])
    ground = ground[~points_in_boxes(ground, np.array(boxes).reshape(-1, 7)).any(axis=0)]
    xyz = np.concatenate([ground, *(shell(box, 300, rng) for box in boxes)])
    return np.column_stack([xyz, rng.uniform(0, 1, len(xyz))]).astype(np.float32)


def write_frame(root: Path, name: str, objects, seed=0, labels=None):
    """`objects` are (kind, box) pairs."""
    folder = root / "training"
    for part in ("velodyne", "calib", "label_2", "image_2"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    sweep([box for _, box in objects], np.random.default_rng(seed)).tofile(folder / "velodyne" / f"{name}.bin")
    (folder / "calib" / f"{name}.txt").write_text(CALIBRATION)
    lines = [label_line(kind, box) for kind, box in objects] if labels is None else labels
    (folder / "label_2" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    Image.new("L", IMAGE_SIZE).save(folder / "image_2" / f"{name}.png")


def write_split(root: Path, split: str, names):
    (root / "ImageSets").mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
