"""Reading nuScenes: against the devkit, and every way a data set can be broken."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from olivine.errors import DataError
from olivine.ingest.keyframes import CAMERA_CHANNELS, CHANNELS, leaves_root, resolve_file
from olivine.ingest.nuscenes import lidarseg_files, load_lidarseg, load_sweep, read_keyframes
from olivine.nuscenes_categories import RAW_CATEGORY_NAMES

VERSION = "v1.0-mini"
POSE = {"translation": [1.0, 2.0, 3.0], "rotation": [1.0, 0.0, 0.0, 0.0]}


def real_data() -> Path:
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real keyframe to compare with")
    return Path(os.environ["OLIVINE_REAL_DATA"])


def small_tables():
    """Two scenes of two keyframes; records are stored out of order, with sweeps and a radar in between."""
    channels = [*CHANNELS, "RADAR_FRONT"]
    samples, data, egos = [], [], []
    for scene, log in (("scene-B", "b"), ("scene-A", "a")):
        for number in range(2):
            token = f"{scene}-{number}"
            neighbours = {"next": f"{scene}-1" if number == 0 else "", "prev": f"{scene}-0" if number else ""}
            samples.append({"token": token, "timestamp": 1000 * number, "scene_token": f"token-{scene}", **neighbours})
            for offset, channel in enumerate(channels):
                for is_key in (False, True):
                    shot = f"{token}-{channel}-{is_key}"
                    data.append(
                        {
                            "token": shot,
                            "sample_token": token,
                            "ego_pose_token": f"ego-{shot}",
                            "calibrated_sensor_token": f"cs-{log}-{channel}",
                            "timestamp": 1000 * number + offset,
                            "is_key_frame": is_key,
                            "filename": f"samples/{channel}/{shot}.bin",
                            "width": 1600 if channel.startswith("CAM") else 0,
                            "height": 900 if channel.startswith("CAM") else 0,
                        }
                    )
                    egos.append({"token": f"ego-{shot}", **POSE, "translation": [float(number), float(offset), 0.0]})
    calibrations = [
        {
            "token": f"cs-{log}-{channel}",
            "sensor_token": f"sensor-{channel}",
            **POSE,
            "camera_intrinsic": [[9, 0, 5], [0, 9, 5], [0, 0, 1]] if channel.startswith("CAM") else [],
        }
        for log in "ab"
        for channel in channels
    ]
    scenes = [
        {"token": f"token-{name}", "name": name, "log_token": log, "first_sample_token": f"{name}-0"}
        for name, log in (("scene-B", "b"), ("scene-A", "a"))
    ]
    lidar = [row["token"] for row in data if "LIDAR" in row["token"] and row["is_key_frame"]]
    return {
        "scene": scenes,
        "log": [{"token": "a", "logfile": "drive-a"}, {"token": "b", "logfile": ""}],
        "sample": samples[::-1],
        "sensor": [{"token": f"sensor-{channel}", "channel": channel} for channel in channels],
        "calibrated_sensor": calibrations,
        "sample_data": data[::-1],
        "ego_pose": egos[::-1],
        "category": [{"token": name, "name": name, "index": row} for row, name in enumerate(RAW_CATEGORY_NAMES)],
        "lidarseg": [{"token": t, "sample_data_token": t, "filename": f"lidarseg/{t}.bin"} for t in lidar[:-1]],
    }


def write(root, tables):
    folder = root / VERSION
    folder.mkdir(exist_ok=True)
    for name, records in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(records, indent=0))
    return root


def shot_record(tables, token):
    return next(record for record in tables["sample_data"] if record["token"] == token)


def test_order_fields_and_channels(tmp_path):
    table = read_keyframes(write(tmp_path, small_tables()), VERSION)
    assert len(table) == 4
    assert [keyframe.token for keyframe in table] == ["scene-B-0", "scene-B-1", "scene-A-0", "scene-A-1"]
    assert table.scenes == ["scene-B", "scene-A"]
    assert [keyframe.drive for keyframe in table] == ["b", "b", "drive-a", "drive-a"]
    assert table.problems == {}
    keyframe = table[3]
    assert (keyframe.scene, keyframe.scene_token, keyframe.timestamp_us) == ("scene-A", "token-scene-A", 1000)
    assert keyframe.lidar.token == "scene-A-1-LIDAR_TOP-True"
    assert keyframe.lidar.file == "samples/LIDAR_TOP/scene-A-1-LIDAR_TOP-True.bin"
    assert keyframe.lidar.intrinsic_33 is None
    around = ["FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT"]
    assert [image.channel for image in keyframe.images] == [f"CAM_{side}" for side in around]
    back = keyframe.images[3]
    assert (back.channel, back.timestamp_us, back.width_px, back.height_px) == ("CAM_BACK", 1004, 1600, 900)
    assert back.ego == {"translation": [1.0, 4.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
    assert back.calibration == POSE
    assert back.intrinsic_33.tolist() == [[9, 0, 5], [0, 9, 5], [0, 0, 1]]
    labels = [f"lidarseg/{token}-LIDAR_TOP-True.bin" for token in ("scene-B-0", "scene-B-1", "scene-A-0")]
    assert [keyframe.lidarseg_file for keyframe in table] == [*labels, None]
    assert [camera.name for camera in keyframe.cameras()] == list(CAMERA_CHANNELS)


def test_labels_are_optional(tmp_path):
    tables = small_tables()
    del tables["lidarseg"], tables["category"]
    assert [keyframe.lidarseg_file for keyframe in read_keyframes(write(tmp_path, tables), VERSION)] == [None] * 4


@pytest.mark.parametrize("table", ["scene", "log", "sample", "sensor", "calibrated_sensor", "sample_data", "ego_pose"])
def test_every_table_is_needed_whole(tmp_path, table):
    write(tmp_path, small_tables())
    path = tmp_path / VERSION / f"{table}.json"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(DataError, match=rf"{table}\.json is malformed"):
        read_keyframes(tmp_path, VERSION)
    path.unlink()
    with pytest.raises(DataError, match=rf"{table}\.json is missing|holds no nuScenes tables"):
        read_keyframes(tmp_path, VERSION)


FIELDS = {
    "scene": ["token", "name", "log_token", "first_sample_token"],
    "log": ["token"],
    "sample": ["token", "scene_token", "next"],
    "sensor": ["token", "channel"],
    "calibrated_sensor": ["token", "sensor_token", "translation", "rotation", "camera_intrinsic"],
    "sample_data": [
        *("token", "sample_token", "ego_pose_token", "calibrated_sensor_token"),
        *("timestamp", "is_key_frame", "filename", "width", "height"),
    ],
    "ego_pose": ["token", "translation", "rotation"],
    "category": ["name", "index"],
    "lidarseg": ["sample_data_token", "filename"],
}


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, names in FIELDS.items() for name in names])
@pytest.mark.parametrize("fault", ["missing", "wrong type"])
def test_every_field_is_needed_with_its_type(tmp_path, table, name, fault):
    tables = small_tables()
    record = next((row for row in tables[table] if "CAM_BACK" in row.get("token", "")), tables[table][0])
    if table in ("sample_data", "ego_pose"):
        record = next(row for row in tables[table] if row["token"].endswith("scene-A-0-CAM_BACK-True"))
    if fault == "missing":
        del record[name]
    else:
        record[name] = {"not": "this"}
    with pytest.raises(DataError, match=f"table {table}: record .*{name}"):
        read_keyframes(write(tmp_path, tables), VERSION)


@pytest.mark.parametrize(
    ("table", "name", "target"),
    [
        ("scene", "log_token", "log"),
        ("scene", "first_sample_token", "sample"),
        ("calibrated_sensor", "sensor_token", "sensor"),
        ("sample_data", "calibrated_sensor_token", "calibrated_sensor"),
        ("sample_data", "sample_token", "sample"),
        ("sample_data", "ego_pose_token", "ego_pose"),
        ("sample", "next", "sample"),
    ],
)
def test_a_dangling_token_is_refused(tmp_path, table, name, target):
    tables = small_tables()
    record = shot_record(tables, "scene-A-0-CAM_BACK-True") if table == "sample_data" else tables[table][-1]
    record[name] = "nowhere"
    with pytest.raises(DataError, match=f"table {table}: record .*{name} 'nowhere' is in no record of table {target}"):
        read_keyframes(write(tmp_path, tables), VERSION)


def test_chains_of_keyframes_must_be_sound(tmp_path):
    for change, reason in [
        (lambda t: t["sample"][0].update(next="scene-A-0"), "comes twice in the chain of scene-A"),
        (lambda t: t["sample"][0].update(scene_token="token-scene-B"), "in the chain of scene-A but names scene"),
        (lambda t: t["sample"][1].update(next=""), "record scene-A-1 is in no scene's chain"),
        (lambda t: t["scene"][1].update(name="scene-B"), "'scene-B' stands twice"),
    ]:
        tables = small_tables()
        change(tables)
        with pytest.raises(DataError, match=reason):
            read_keyframes(write(tmp_path, tables), VERSION)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_keyframe_without_a_sensor_is_reported_not_raised(tmp_path, channel):
    tables = small_tables()
    tables["sample_data"].remove(shot_record(tables, f"scene-A-0-{channel}-True"))
    table = read_keyframes(write(tmp_path, tables), VERSION)
    assert table.problems == {"scene-A-0": f"0 records of {channel} in table sample_data, not one"}
    broken = table[2]
    assert broken.problem == table.problems["scene-A-0"]
    with pytest.raises(DataError, match=f"keyframe scene-A-0 of scene-A: 0 records of {channel}"):
        broken.cameras()
    assert table[3].problem is None


def test_no_keyframe_at_all_of_any_sensor(tmp_path):
    tables = small_tables()
    tables["sample_data"], tables["ego_pose"] = [], []
    table = read_keyframes(write(tmp_path, tables), VERSION)
    assert len(table.problems) == 4
    assert "LIDAR_TOP" in table[0].problem
    assert "CAM_BACK_LEFT" in table[0].problem


def test_a_sensor_twice_is_reported(tmp_path):
    tables = small_tables()
    double = {**shot_record(tables, "scene-A-0-CAM_BACK-True"), "token": "again"}
    tables["sample_data"].append(double)
    table = read_keyframes(write(tmp_path, tables), VERSION)
    assert table.problems == {"scene-A-0": "2 records of CAM_BACK in table sample_data, not one"}


@pytest.mark.parametrize("file", ["/etc/passwd", "../../secret", "samples/../../x", "", "..\\x", "a\0b"])
def test_a_path_that_leaves_the_data_set_is_reported_and_never_followed(tmp_path, file):
    tables = small_tables()
    shot_record(tables, "scene-A-0-CAM_BACK-True")["filename"] = file
    tables["lidarseg"][0]["filename"] = file
    owner = tables["lidarseg"][0]["token"].removesuffix("-LIDAR_TOP-True")
    table = read_keyframes(write(tmp_path, tables), VERSION)
    assert "of CAM_BACK leaves the data set" in table.problems["scene-A-0"]
    assert "of the labels leaves the data set" in table.problems[owner]
    assert leaves_root(file)
    with pytest.raises(DataError, match="leaves the data set"):
        resolve_file(tmp_path, file)


def test_a_path_inside_is_resolved(tmp_path):
    assert resolve_file(tmp_path, "samples/CAM..BACK/a..b.jpg") == tmp_path / "samples/CAM..BACK/a..b.jpg"


def test_a_broken_rotation_names_its_camera(tmp_path):
    tables = small_tables()
    next(row for row in tables["calibrated_sensor"] if row["token"] == "cs-a-CAM_BACK")["rotation"] = [
        1.0,
        1.0,
        0.0,
        0.0,
    ]
    table = read_keyframes(write(tmp_path, tables), VERSION)
    with pytest.raises(DataError, match="CAM_BACK: camera calibration: rotation is not a rotation"):
        table[2].cameras()
    assert table[0].cameras()


def test_labels_of_another_class_list_are_refused(tmp_path):
    tables = small_tables()
    tables["category"][3], tables["category"][4] = (
        {**tables["category"][3], "index": 4},
        {**tables["category"][4], "index": 3},
    )
    with pytest.raises(DataError, match=r"table category: .* has index 4: extract category\.json of nuScenes-lidarseg"):
        read_keyframes(write(tmp_path, tables), VERSION)


def test_cache_serves_the_same_rows_and_notices_changes(tmp_path):
    root = write(tmp_path, small_tables())
    fresh = read_keyframes(root, VERSION)
    cache = tmp_path / "cache"
    first = read_keyframes(root, VERSION, cache)
    (kept,) = cache.iterdir()
    again = read_keyframes(root, VERSION, cache)
    assert fresh.columns.equals(first.columns)
    assert fresh.columns.equals(again.columns)
    assert again[1].images[0].file == fresh[1].images[0].file
    tables = small_tables()
    tables["log"][0]["logfile"] = "drive-z"  # As long as the name before: the size alone would not tell.
    write(tmp_path, tables)
    os.utime(root / VERSION / "log.json", ns=(1, 1))
    assert read_keyframes(root, VERSION, cache)[3].drive == "drive-z"
    assert kept in cache.iterdir()
    assert len(list(cache.iterdir())) == 2


def test_damaged_cache_is_refused(tmp_path):
    root = write(tmp_path, small_tables())
    read_keyframes(root, VERSION, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(DataError, match=r"is damaged .* delete it"):
        read_keyframes(root, VERSION, tmp_path / "cache")


def test_lidarseg_files_of_a_split(tmp_path):
    root = write(tmp_path, small_tables())
    splits = {"train": ["scene-A"], "select": [], "test": ["scene-B"]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    tokens = [f"scene-B-{number}-LIDAR_TOP-True" for number in range(2)]
    assert lidarseg_files(root, VERSION, "test") == {token: root / f"lidarseg/{token}.bin" for token in tokens}
    with pytest.raises(DataError, match="has no labels: extract nuScenes-lidarseg"):
        lidarseg_files(root, VERSION, "train")
    with pytest.raises(DataError, match=r"no keyframe of v1\.0-mini is in split select"):
        lidarseg_files(root, VERSION, "select")


def test_load_sweep(tmp_path):
    path = tmp_path / "sweep.bin"
    points = np.arange(15, dtype=np.float32).reshape(3, 5)
    points.tofile(path)
    assert (load_sweep(path) == points).all()
    for content, reason in [(b"", "has 0 bytes"), (points.tobytes()[:-1], "has 59 bytes")]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=reason):
            load_sweep(path)
    for value in (np.nan, np.inf):
        points[1, 2] = value
        points.tofile(path)
        with pytest.raises(DataError, match="point 1 is not finite"):
            load_sweep(path)
    with pytest.raises(DataError, match=r"cannot be read .*is its archive extracted"):
        load_sweep(tmp_path / "absent.bin")


def test_load_lidarseg(tmp_path):
    path = tmp_path / "lidarseg.bin"
    path.write_bytes(bytes([0, 31, 17]))
    assert load_lidarseg(path, 3).tolist() == [0, 31, 17]
    with pytest.raises(DataError, match="has 3 labels for a sweep of 4 points"):
        load_lidarseg(path, 4)
    path.write_bytes(bytes([0, 32, 17]))
    with pytest.raises(DataError, match="point 1 has label 32"):
        load_lidarseg(path, 3)
    with pytest.raises(DataError, match="cannot be read"):
        load_lidarseg(tmp_path / "absent.bin", 3)


@pytest.mark.filterwarnings("ignore")
def test_real_keyframe_equals_the_devkit(tmp_path):
    shutil.copytree(real_data() / "nuscenes", tmp_path / "real")
    shutil.copytree(real_data() / "nuscenes_derived_lidarseg", tmp_path / "real", dirs_exist_ok=True)
    from nuscenes import NuScenes

    root = tmp_path / "real"
    devkit = NuScenes(VERSION, str(root), verbose=False)
    table = read_keyframes(root, VERSION)
    assert [keyframe.token for keyframe in table] == [sample["token"] for sample in devkit.sample]
    keyframe, sample = table[0], devkit.sample[0]
    assert keyframe.scene == devkit.get("scene", sample["scene_token"])["name"]
    for shot in (keyframe.lidar, *keyframe.images):
        record = devkit.get("sample_data", sample["data"][shot.channel])
        calibration = devkit.get("calibrated_sensor", record["calibrated_sensor_token"])
        ego = devkit.get("ego_pose", record["ego_pose_token"])
        assert (shot.token, shot.file, shot.timestamp_us) == (record["token"], record["filename"], record["timestamp"])
        assert (shot.width_px, shot.height_px) == (record["width"], record["height"])
        assert shot.calibration == {name: calibration[name] for name in ("translation", "rotation")}
        assert shot.ego == {name: ego[name] for name in ("translation", "rotation")}
        if shot.intrinsic_33 is not None:
            assert shot.intrinsic_33.tolist() == calibration["camera_intrinsic"]
    assert keyframe.lidarseg_file == devkit.get("lidarseg", keyframe.lidar.token)["filename"]
    sweep = load_sweep(root / keyframe.lidar.file)
    assert sweep.shape == (34688, 5)
    labels = load_lidarseg(root / keyframe.lidarseg_file, len(sweep))
    assert {devkit.lidarseg_idx2name_mapping[label] for label in set(labels.tolist())} == {
        RAW_CATEGORY_NAMES[label] for label in set(labels.tolist())
    }
