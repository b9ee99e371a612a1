"""Where the LiDAR was: hand-made poses, and KITTI's own of one sequence, whose length is published."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scan_files import write_scan

from olivine.datasets import load_table
from olivine.datasets.check import check_split
from olivine.datasets.poses import driven_m, read_poses
from olivine.errors import DataError

KITTI = load_table("semantickitti")
# x of the LiDAR points ahead, z of the camera does; the camera is 0.3 m ahead of the LiDAR.
CALIBRATION = "P0: 1 0 0 0 0 1 0 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.3\n"
STILL, AHEAD = "1 0 0 0 0 1 0 0 0 0 1 0", "1 0 0 0 0 1 0 0 0 0 1 5"
# Turned to the left by a right angle, about the camera.
LEFT = "0 0 -1 0 0 1 0 0 1 0 0 5"


def write(folder: Path, *poses: str, calibration: str | None = CALIBRATION) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "poses.txt").write_text("".join(f"{pose}\n" for pose in poses))
    if calibration is not None:
        (folder / "calib.txt").write_text(calibration)
    return folder


def test_poses_of_the_camera_become_those_of_the_lidar(tmp_path):
    poses_S44 = read_poses(write(tmp_path, STILL, AHEAD, LEFT))
    assert poses_S44 is not None
    assert np.allclose(poses_S44[0], np.eye(4))
    assert np.allclose(poses_S44[1] @ [1, 2, 3, 1], [6, 2, 3, 1])
    # The LiDAR sits 0.3 m behind the camera, so it swings to the right as the car turns left.
    assert np.allclose(poses_S44[2] @ [0, 0, 0, 1], [5.3, -0.3, 0, 1])
    assert np.allclose(poses_S44[2] @ [1, 0, 0, 1], [5.3, 0.7, 0, 1])
    assert driven_m(poses_S44) == pytest.approx(5 + np.hypot(0.3, 0.3))


def test_no_poses_are_none(tmp_path):
    assert read_poses(tmp_path) is None


@pytest.mark.parametrize(
    ("poses", "calibration", "message"),
    [
        ([STILL, "1 0 0"], CALIBRATION, "poses.txt, line 2: 3 values, but a pose has 12"),
        ([STILL.replace("1", "one")], CALIBRATION, "poses.txt, line 1: could not convert"),
        ([STILL.replace("1", "nan")], CALIBRATION, "12 finite ones"),
        ([STILL.replace("1", "2", 1)], CALIBRATION, "its first three columns are no rotation"),
        ([], CALIBRATION, "poses.txt is empty"),
        ([STILL], None, "calib.txt is missing"),
        ([STILL], "P0: 1 0\n", "calib.txt has no line Tr"),
    ],
)
def test_what_is_unsound_is_named(tmp_path, poses, calibration, message):
    with pytest.raises(DataError, match=message):
        read_poses(write(tmp_path, *poses, calibration=calibration))


def test_a_check_tells_the_way_and_which_scan_has_no_pose(tmp_path):
    for frame in ("000000", "000001", "000002"):
        write_scan(tmp_path, KITTI, "val", "08", frame, [10, 40])
    write(tmp_path / "sequences/08", STILL, AHEAD)
    found = check_split(KITTI, tmp_path, "val")
    assert found.driven_m == pytest.approx(5)
    assert len(found.problems) == 1
    assert "000002.bin" in found.problems[0]
    assert "no pose of it, only 2" in found.problems[0]


def test_without_poses_nothing_is_said_of_the_way(tmp_path):
    write_scan(tmp_path, KITTI, "val", "08", "000000", [10, 40])
    assert check_split(KITTI, tmp_path, "val").driven_m is None


def test_the_length_of_sequence_08_is_the_published_one():
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real poses to read")
    folder = Path(os.environ["OLIVINE_REAL_DATA"]) / "semantickitti/sequences/08"
    poses_S44 = read_poses(folder)
    assert poses_S44 is not None
    assert len(poses_S44) == 4071
    # 3 222.8 m by KITTI's GPS; SemanticKITTI's poses are those of a scan matcher.
    assert driven_m(poses_S44) == pytest.approx(3222.8, rel=0.005)
