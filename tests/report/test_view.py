"""A keyframe as a recording of rerun.io: what is written is read back by rerun itself."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from olivine.cli.label import view as view_command
from olivine.drives import CAMERAS
from olivine.errors import ConfigError, UsageError
from olivine.packs import Pack, bytes_array
from olivine.report.colours import Swatch
from olivine.report.view import View, ViewedCamera, read_view, save_view


def small_view():
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4)).save(buffer, "jpeg")
    pose_44 = np.eye(4)
    pose_44[:3, 3] = [1, 2, 3]
    masks = {"CAM_FRONT": np.ones((4, 6), np.uint8)}
    cameras = [
        ViewedCamera(name, buffer.getvalue(), masks.get(name), (6, 4), np.eye(3), pose_44)
        for name in ("CAM_FRONT", "CAM_BACK")
    ]
    points_N3 = np.arange(9, dtype=np.float32).reshape(3, 3)
    return View("token", points_N3, np.array([1, 255, 256], np.uint16), cameras, [Swatch("car", (9, 8, 7))] * 2)


def test_what_rerun_reads_back(tmp_path):
    rerun = pytest.importorskip("rerun", reason="needs olivine[view]")
    out = tmp_path / "new" / "view.rrd"
    save_view(rerun, small_view(), out)
    assert [path.name for path in out.parent.iterdir()] == ["view.rrd"]
    recording = rerun.dataframe.load_recording(out)
    assert (recording.application_id(), recording.recording_id()) == ("olivine", "token")
    columns = {
        f"{column.entity_path}:{column.component_name.split('.')[-1]}"
        for column in recording.schema().component_columns()
    }
    wanted = {"/lidar:Position3D", "/lidar:ClassId", "/:AnnotationContext"}
    for name in ("CAM_FRONT", "CAM_BACK"):
        wanted |= {f"/lidar/{name}:PinholeProjection", f"/lidar/{name}:TransformMat3x3", f"/lidar/{name}/image:Blob"}
    assert wanted <= columns
    assert "/lidar/CAM_FRONT/weak_labels:ImageBuffer" in columns
    assert "/lidar/CAM_BACK/weak_labels:ImageBuffer" not in columns
    row = recording.view(index="log_tick", contents="/lidar").select_static().read_all().to_pydict()
    found = {name.split(":")[-1]: values[0] for name, values in row.items()}
    assert np.array_equal(np.array(found["Position3D"]), small_view().points_N3)
    assert list(found["ClassId"]) == [1, 255, 256]


def test_where_it_cannot_be_written(tmp_path):
    rerun = pytest.importorskip("rerun", reason="needs olivine[view]")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"view.rrd: the recording cannot be written: "):
        save_view(rerun, small_view(), tmp_path / "file" / "view.rrd")


def test_without_rerun_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ConfigError, match=r"needs rerun-sdk, which is not installed: pip install 'olivine\[view\]'"):
        view_command("abcdef", "", str(tmp_path), tmp_path / "view.rrd")


def test_what_is_seen_of_a_keyframe(chain):
    labels = chain.made["label"]
    token = chain.drives.tokens("train")[1]
    view, keyframe = read_view(chain.made["ingest"], labels, token), chain.drives.keyframe(token)
    label_M = bytes_array(Pack(labels).head(token)["pair_label.npy"])
    assert np.array_equal(view.class_N[keyframe.pair_point_M[-1]], label_M[-1])
    unseen = np.setdiff1d(np.arange(len(view.class_N)), keyframe.pair_point_M)
    assert (view.class_N[unseen] == 256).all()
    assert (view.class_N != 256).sum() == len(np.unique(keyframe.pair_point_M))
    assert [camera.name for camera in view.cameras] == list(CAMERAS)
    # A pair's point lies where its camera says that its pixel is.
    image, row, column = keyframe.pair_pixel_M3[0]
    camera = view.cameras[image]
    assert camera.mask_HW[row, column] == label_M[0]
    point_4 = np.append(view.points_N3[keyframe.pair_point_M[0]], 1)
    x, y, depth = camera.intrinsic_33 @ (np.linalg.inv(camera.camera_to_lidar_44) @ point_4)[:3]
    assert (np.rint(y / depth), np.rint(x / depth)) == (row, column)
    assert read_view(chain.made["ingest"], labels, "").keyframe == Pack(labels).index.column("keyframe")[0]
    with pytest.raises(UsageError, match=r"have no keyframe 'abc'; the first is "):
        read_view(chain.made["ingest"], labels, "abc")
