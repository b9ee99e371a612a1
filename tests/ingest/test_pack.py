"""One keyframe into a pack: what is written, and every way one can be bad."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from chain import VERSION
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from olivine.errors import DataError
from olivine.ingest.nuscenes import read_keyframes
from olivine.ingest.pack import pack_keyframe
from olivine.ingest.recipe import IngestRecipe
from olivine.packs import bytes_array

RECIPE = IngestRecipe(version=VERSION)
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")


@pytest.fixture
def keyframe(own_root):
    return read_keyframes(own_root, VERSION)[0]


def refuse(root, keyframe, match):
    with pytest.raises(DataError, match=match) as caught:
        pack_keyframe(root, keyframe, "train", RECIPE)
    assert type(caught.value) is DataError


def test_a_sound_keyframe(own_root, keyframe):
    packed = pack_keyframe(own_root, keyframe, "train", RECIPE)
    head, columns = packed.keyframe.head, packed.keyframe.columns
    points_N5 = bytes_array(head["points.npy"])
    point_M, pixel_M3 = bytes_array(head["pair_point.npy"]), bytes_array(head["pair_pixel.npy"])
    assert points_N5.tobytes() == (own_root / keyframe.lidar.file).read_bytes()
    assert list(packed.keyframe.tail) == [f"{camera}.jpg" for camera in CAMERAS]
    assert columns == {
        "scene": "scene-0061",
        "drive": keyframe.drive,
        "split": "train",
        "timestamp_us": keyframe.timestamp_us,
        "lidar_token": keyframe.lidar.token,
        "num_points": len(points_N5),
        "num_pairs": len(point_M),
    }
    # Every pair follows from what the pack itself says of its cameras.
    meta = json.loads(head["meta.json"])
    for image, camera in enumerate(meta["cameras"]):
        mine = pixel_M3[:, 0] == image
        xyz1_4M = np.vstack([points_N5[point_M[mine], :3].T.astype(float), np.ones(mine.sum())])
        x, y, depth = np.array(camera["intrinsic_33"]) @ (np.array(camera["lidar_to_camera_44"]) @ xyz1_4M)[:3]
        assert (depth > RECIPE.min_depth_m).all()
        assert np.abs(pixel_M3[mine, 2] - x / depth).max() <= 0.5 + 1e-6
        assert np.abs(pixel_M3[mine, 1] - y / depth).max() <= 0.5 + 1e-6
    assert bytes_array(packed.lidarseg.head["lidarseg.npy"]).shape == (len(points_N5),)
    assert len(packed.simulation.head) == 12


def test_truncated_sweep(own_root, keyframe):
    path = own_root / keyframe.lidar.file
    path.write_bytes(path.read_bytes()[:-7])
    refuse(own_root, keyframe, rf"{path} has \d+ bytes, not a positive multiple of 20: copy it again")


def test_missing_sweep(own_root, keyframe):
    (own_root / keyframe.lidar.file).unlink()
    refuse(own_root, keyframe, r"cannot be read \(No such file or directory\): is its archive extracted")


def test_missing_jpeg(own_root, keyframe):
    path = own_root / keyframe.images[3].file
    path.unlink()
    refuse(own_root, keyframe, rf"{path} is missing: restore the image, or leave the keyframe out")


@pytest.mark.parametrize("keep", [0, 2, 20, 0.5, 0.95])
def test_corrupt_jpeg(own_root, keyframe, keep):
    path = own_root / keyframe.images[1].file
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    refuse(own_root, keyframe, rf"{path} is no whole JPEG \(.*\): restore it")


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_wrong_with_a_jpeg_is_a_data_error(chain_root, tmp_path_factory, data):
    keyframe = read_keyframes(chain_root, VERSION)[0]
    shot = keyframe.images[0]
    good = bytearray((chain_root / shot.file).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    root = tmp_path_factory.mktemp("jpeg")
    (root / shot.file).parent.mkdir(parents=True)
    (root / shot.file).write_bytes(good)
    from olivine.ingest.pack import _read_image

    try:
        assert _read_image(root, shot) == bytes(good)
    except DataError as error:
        assert str(root / shot.file) in str(error)


def test_an_image_that_would_fill_the_memory(own_root, keyframe):
    path = own_root / keyframe.images[0].file
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    refuse(
        own_root,
        keyframe,
        rf"{path} is (no whole JPEG \(Image size \(4294836225 pixels\) exceeds|JPEG \(65535, 65535\), the tables)",
    )


def test_another_format_and_another_size(own_root, keyframe):
    path = own_root / keyframe.images[0].file
    Image.new("RGB", (192, 108)).save(path, "png")
    refuse(own_root, keyframe, r"is PNG \(192, 108\), the tables say JPEG \(192, 108\)")
    Image.new("RGB", (96, 108)).save(path, "jpeg")
    refuse(own_root, keyframe, r"is JPEG \(96, 108\), the tables say JPEG \(192, 108\)")


def test_labels_of_another_length(own_root, keyframe):
    path = own_root / keyframe.lidarseg_file
    path.write_bytes(path.read_bytes()[:-1])
    refuse(own_root, keyframe, rf"{path} has \d+ labels for a sweep of \d+ points: take the file of this sweep")


@pytest.mark.parametrize(
    ("lag_us", "bad"), [(100_000, False), (100_001, True), (-100_001, True), (3_600_000_000, True)]
)
def test_camera_too_far_from_the_sweep(own_root, keyframe, lag_us, bad):
    shot = dataclasses.replace(keyframe.images[2], timestamp_us=keyframe.timestamp_us + lag_us)
    moved = dataclasses.replace(keyframe, shots=keyframe.shots | {shot.channel: shot})
    if bad:
        refuse(
            own_root, moved, rf"CAM_BACK_RIGHT was taken {abs(lag_us) / 1000:.0f} ms from the sweep, more than 100 ms"
        )
    else:
        pack_keyframe(own_root, moved, "train", RECIPE)


def test_calibration_that_is_no_rotation(own_root, keyframe):
    shot = keyframe.images[5]
    bent = dataclasses.replace(shot, calibration=shot.calibration | {"rotation": [1.0, 0.5, 0.0, 0.0]})
    refuse(
        own_root,
        dataclasses.replace(keyframe, shots=keyframe.shots | {shot.channel: bent}),
        r"CAM_FRONT_LEFT: camera calibration: rotation is not a rotation: .*; repair the calibration",
    )


def test_a_sensor_without_record(own_root, keyframe):
    refuse(own_root, dataclasses.replace(keyframe, problem="0 records of CAM_BACK"), "0 records of CAM_BACK")


@pytest.mark.parametrize("token", ["../../../etc/cron.d/0badc0de", "0badc0de/x", "0badc0de.x", "scene-1", "a" * 65, ""])
def test_a_token_that_cannot_name_files(own_root, keyframe, token):
    refuse(own_root, dataclasses.replace(keyframe, token=token), "cannot name files")


def test_missing_rendering(own_root, keyframe):
    path = own_root / "synth_truth" / "CAM_BACK"
    for file in path.iterdir():
        file.unlink()
    refuse(own_root, keyframe, r"_category.png cannot be read .*: write the synthetic drives again")
