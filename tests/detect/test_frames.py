"""KITTI's layout: what is read, what is refused, and the artifact that it becomes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from synthetic_kitti import car, write_frame, write_split

from olivine.artifacts import verify
from olivine.detect.frames import Frames, pack_frames
from olivine.detect.geometry import points_in_boxes
from olivine.detect.kitti import read_frame, read_split
from olivine.detect.recipe import FramesRecipe
from olivine.errors import DataError, UsageError
from olivine.lineage.impact import impact
from olivine.lineage.mirror import MirrorSource, build_mirror
from olivine.lineage.source import StoreSource
from olivine.store import open_store


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "kitti"
    write_frame(folder, "000001", [("Car", car(15, 2, 0.4)), ("Pedestrian", car(9, -3, 1, "Pedestrian"))])
    write_frame(folder, "000002", [("Cyclist", car(12, 0, 2, "Cyclist"))], seed=1)
    write_split(folder, "train", ["000001"])
    write_split(folder, "val", ["000002"])
    return folder


@pytest.fixture
def directory_store(tmp_path):
    return open_store(str(tmp_path / "store"))


def test_frames_come_back_as_they_were_written(root, directory_store):
    made = pack_frames(root, directory_store, FramesRecipe())
    assert verify(made) == []
    assert made.manifest.counts["frames"] == 2
    frames = Frames(made)
    assert (frames.names("train"), frames.names("val")) == (["000001"], ["000002"])
    frame = frames.frame("000001")
    assert frame.kind_B.tolist() == ["car", "pedestrian"]
    # Labels have four digits after the point.
    assert frame.boxes_B7 == pytest.approx(np.stack([car(15, 2, 0.4), car(9, -3, 1, "Pedestrian")]), abs=2e-3)
    assert points_in_boxes(frame.points_N4, frame.boxes_B7 * [1, 1, 1, 1.02, 1.02, 1.02, 1]).sum(axis=1).tolist() == [
        300,
        300,
    ]
    assert frames.label_text("000001") == (root / "training/label_2/000001.txt").read_text()
    with pytest.raises(UsageError, match="have none of the split 'test': choose one of train, val"):
        frames.names("test")


def test_what_the_camera_does_not_see_is_left_out(root):
    frame = read_frame(root, "000001")
    whole = np.fromfile(root / "training/velodyne/000001.bin", np.float32).reshape(-1, 4)
    angle = np.abs(np.arctan2(whole[:, 1], whole[:, 0]))
    assert 0 < len(frame.points_N4) < len(whole)
    # The image spans about 40 degrees to either side.
    kept = {tuple(point) for point in frame.points_N4.tolist()}
    assert not any(tuple(point) in kept for point in whole[angle > 0.75].tolist())


def test_again_without_work_and_other_files_are_other_frames(root, directory_store):
    first = pack_frames(root, directory_store, FramesRecipe())
    assert pack_frames(root, directory_store, FramesRecipe()).manifest == first.manifest
    write_frame(root, "000002", [], seed=1)
    assert pack_frames(root, directory_store, FramesRecipe()).id != first.id


@pytest.mark.parametrize(("file", "old", "new"), [("label_2", "Cyclist", "Misc   "), ("calib", "P2: 7", "P2: 8")])
def test_corrected_texts_are_other_frames_though_their_files_have_the_same_size(root, directory_store, file, old, new):
    first = pack_frames(root, directory_store, FramesRecipe())
    path = root / f"training/{file}/000002.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert pack_frames(root, directory_store, FramesRecipe()).id != first.id


def test_lineage_finds_a_frame(root, directory_store, tmp_path):
    made = pack_frames(root, directory_store, FramesRecipe())
    build_mirror(directory_store, tmp_path / "mirror.sqlite")
    for source in (StoreSource(directory_store), MirrorSource(tmp_path / "mirror.sqlite")):
        for name in ("000001", "kitti_object"):
            assert [item.id for item in impact(source, name).reached] == [made.id]


def damage_file(part, data):
    def act(root):
        path = root / "training" / part
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)

    return act


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (damage_file("velodyne/000001.bin", None), "000001.bin cannot be read .*is its archive extracted"),
        (damage_file("velodyne/000001.bin", b"12345"), "000001.bin has 5 bytes, not a positive multiple of 16"),
        (damage_file("velodyne/000001.bin", b""), "000001.bin has 0 bytes"),
        (damage_file("velodyne/000001.bin", np.full(8, np.nan, np.float32).tobytes()), "point 0 is not finite"),
        (damage_file("velodyne/000001.bin", np.full(8, -5, np.float32).tobytes()), "the image shows no point"),
        (damage_file("calib/000001.txt", None), "calib/000001.txt cannot be read"),
        (damage_file("calib/000001.txt", b"\xff"), "000001.txt is no text"),
        (damage_file("calib/000001.txt", b"P2: 1"), "P2 has 1 values"),
        (damage_file("label_2/000001.txt", b"Car 0 0"), "line 1: 3 fields, but labels have 15"),
        (damage_file("label_2/000001.txt", b"Car 0 0 0 1 1 2 2 1 -1 1 1 1 1 0\n"), r"car number 0 has the size"),
        (damage_file("image_2/000001.png", None), r"000001.png is missing: .*--set ingest.image_size=\[1242,375\]"),
        (damage_file("image_2/000001.png", b"png"), "000001.png is no image"),
    ],
)
def test_unsound_frames(root, act, message):
    act(root)
    with pytest.raises(DataError, match=message):
        read_frame(root, "000001")


def test_one_bad_frame_of_two_is_too_many(root, directory_store):
    (root / "training/calib/000001.txt").unlink()
    with pytest.raises(DataError, match="1 of 2 keyframes are bad"):
        pack_frames(root, directory_store, FramesRecipe())


def test_a_bad_frame_that_was_repaired_is_read_anew(root, directory_store):
    """The sweep keeps its size, so the second run goes on with what the first one kept."""
    path = root / "training/velodyne/000001.bin"
    sound = path.read_bytes()
    path.write_bytes(np.full(len(sound) // 4, np.nan, np.float32).tobytes())
    with pytest.raises(DataError, match="1 of 2 keyframes are bad"):
        pack_frames(root, directory_store, FramesRecipe())
    path.write_bytes(sound)
    made = pack_frames(root, directory_store, FramesRecipe())
    assert (made.manifest.counts["frames"], made.manifest.quarantined) == (2, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no frame"),
        ("../000001", "'../000001' is no frame: a frame is named by six digits"),
        ("000001\n000001", "000001 is listed twice"),
        (None, "train.txt cannot be read"),
    ],
)
def test_unsound_lists(root, text, message):
    path = root / "ImageSets/train.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_split(root, "train")


def test_no_frame_in_two_splits(root, directory_store):
    write_split(root, "val", ["000001"])
    with pytest.raises(DataError, match="frame 000001 is in train and in val: what is trained on may not be scored"):
        pack_frames(root, directory_store, FramesRecipe())
    with pytest.raises(UsageError, match=r"'../val' is no name of a split"):
        pack_frames(root, directory_store, FramesRecipe(splits=("../val",)))


def count_upright_in_camera(frame):
    points, labels, counts = frame.calibration.to_camera(frame.points_N4[:, :3]), frame.labels, []
    for row in np.flatnonzero(labels.kind_B != "dontcare"):
        offset, (height, width, length), yaw = points - labels.bottom_B3[row], labels.size_B3[row], labels.yaw_B[row]
        along = np.cos(yaw) * offset[:, 0] - np.sin(yaw) * offset[:, 2]
        across = np.sin(yaw) * offset[:, 0] + np.cos(yaw) * offset[:, 2]
        inside = (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)
        counts.append(int((inside & (offset[:, 1] <= 0) & (offset[:, 1] >= -height)).sum()))
    return counts


def test_real_frames(directory_store):
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real frames to read")
    root = Path(os.environ["OLIVINE_REAL_DATA"]) / "kitti"
    with pytest.raises(DataError, match=r"004139\.png is missing"):
        pack_frames(root, directory_store, FramesRecipe())
    frames = Frames(pack_frames(root, directory_store, FramesRecipe(image_size=(1224, 370))))
    assert len(frames.frame("000008").points_N4) == 17_238  # cropped to the same view by others
    # As the frames' README counts them. Those boxes stand upright in the camera's frame, ours in the LiDAR's, about a
    # degree off: points of the ground move in and out.
    for name, counted in (("000000", [376]), ("000008", [1424, 1940, 878, 668, 53, 164])):
        frame = frames.frame(name)
        assert count_upright_in_camera(frame) == counted
        held = points_in_boxes(frame.points_N4, frame.boxes_B7).sum(axis=1)
        assert held == pytest.approx(counted, rel=0.08)
    # Every box of every frame holds points, but for those far away or hidden.
    held = np.concatenate(
        [
            points_in_boxes(frame.points_N4, frame.boxes_B7).sum(axis=1)
            for frame in (frames.frame(name) for split in ("train", "val") for name in frames.names(split))
        ]
    )
    assert (held > 0).mean() > 0.9
