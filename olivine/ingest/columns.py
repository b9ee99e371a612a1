"""Join the nuScenes tables into the columns of `KeyframeTable`, one row a keyframe, in one pass over each table.

Of the two large tables (sample_data, ego_pose) only what belongs to a keyframe and to a sensor in use is kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from olivine.errors import DataError
from olivine.ingest.keyframes import CHANNELS, LIDAR_CHANNEL, leaves_root
from olivine.ingest.tables import dangling, field, iterate_records, numbers
from olivine.nuscenes_categories import RAW_CATEGORY_NAMES


def read_columns(folder: Path) -> pa.Table:
    """Columns of all keyframes of the tables in `folder`; the errors are those of `read_keyframes`."""
    order = _SampleOrder(folder)
    calibrations = _Calibrations(folder)
    shots = {channel: _ShotColumns(len(order.tokens)) for channel in CHANNELS}
    egos: dict[str, int] = {}
    for record in iterate_records(folder, "sample_data"):
        if not field(record, "sample_data", "is_key_frame", bool):
            continue
        calibration = calibrations.rows.get(field(record, "sample_data", "calibrated_sensor_token", str))
        if calibration is None:
            raise dangling("sample_data", record, "calibrated_sensor_token", "calibrated_sensor")
        row = order.rows.get(field(record, "sample_data", "sample_token", str))
        if row is None:
            raise dangling("sample_data", record, "sample_token", "sample")
        channel = calibrations.channels[calibration]
        if channel in shots:
            ego = egos.setdefault(field(record, "sample_data", "ego_pose_token", str), len(egos))
            shots[channel].add(row, record, calibration, ego)
    poses = _ego_poses(folder, egos)
    return _assemble(order, calibrations, shots, poses, _lidarseg_files(folder))


class _SampleOrder:
    """Keyframes scene by scene: tokens, and for each its scene (an index) and its row."""

    def __init__(self, folder: Path) -> None:
        drives = {
            field(record, "log", "token", str): record.get("logfile") or record["token"]
            for record in iterate_records(folder, "log")
        }
        samples = {
            field(record, "sample", "token", str): (
                field(record, "sample", "scene_token", str),
                field(record, "sample", "next", str),
            )
            for record in iterate_records(folder, "sample")
        }
        self.tokens: list[str] = []
        self.scene_of: list[tuple[str, str, str]] = []
        self.rows: dict[str, int] = {}
        names: set[str] = set()
        for scene in iterate_records(folder, "scene"):
            name, token = field(scene, "scene", "name", str), field(scene, "scene", "token", str)
            if name in names:
                raise DataError(f"table scene: name {name!r} stands twice (token {token}): name each scene differently")
            names.add(name)
            drive = drives.get(field(scene, "scene", "log_token", str))
            if drive is None:
                raise dangling("scene", scene, "log_token", "log")
            first = field(scene, "scene", "first_sample_token", str)
            if first not in samples:
                raise dangling("scene", scene, "first_sample_token", "sample")
            self._follow(first, (name, token, drive), samples)
        if len(self.rows) < len(samples):
            lost = next(sample for sample in samples if sample not in self.rows)
            raise DataError(
                f"table sample: record {lost} is in no scene's chain of keyframes: extract the tables again"
            )

    def _follow(self, first: str, scene: tuple[str, str, str], samples: dict[str, tuple[str, str]]) -> None:
        token = first
        while token:
            if token in self.rows:
                raise DataError(
                    f"table sample: record {token} comes twice in the chain of {scene[0]}: extract it again"
                )
            scene_token, following = samples[token]
            if scene_token != scene[1]:
                raise DataError(
                    f"table sample: record {token} is in the chain of {scene[0]} but names scene {scene_token}"
                )
            if following and following not in samples:
                raise dangling("sample", {"token": token, "next": following}, "next", "sample")
            self.rows[token] = len(self.tokens)
            self.tokens.append(token)
            self.scene_of.append(scene)
            token = following


class _Calibrations:
    """Calibrated sensors: token -> row, and by row the channel, the pose [7] and the intrinsic matrix [9] or zeros."""

    def __init__(self, folder: Path) -> None:
        sensors = {
            field(record, "sensor", "token", str): field(record, "sensor", "channel", str)
            for record in iterate_records(folder, "sensor")
        }
        self.rows: dict[str, int] = {}
        self.channels: list[str] = []
        poses, intrinsics = [], []
        for record in iterate_records(folder, "calibrated_sensor"):
            channel = sensors.get(field(record, "calibrated_sensor", "sensor_token", str))
            if channel is None:
                raise dangling("calibrated_sensor", record, "sensor_token", "sensor")
            self.rows[field(record, "calibrated_sensor", "token", str)] = len(self.channels)
            self.channels.append(channel)
            poses.append(_pose(record, "calibrated_sensor"))
            has_intrinsic = channel in CHANNELS and channel != LIDAR_CHANNEL
            intrinsics.append(
                numbers(record, "calibrated_sensor", "camera_intrinsic", 9) if has_intrinsic else [0.0] * 9
            )
        self.poses_S7 = np.array(poses).reshape(-1, 7)
        self.intrinsics_S9 = np.array(intrinsics).reshape(-1, 9)


class _ShotColumns:
    """What one channel recorded, one entry a keyframe; `count` tells how many records claimed the entry."""

    def __init__(self, num_keyframes: int) -> None:
        self.tokens: list[str | None] = [None] * num_keyframes
        self.files: list[str] = [""] * num_keyframes
        self.count, self.calibration, self.ego, self.width_px, self.height_px, self.timestamp_us = (
            array("q", bytes(8 * num_keyframes)) for _ in range(6)
        )

    def add(self, row: int, record: dict[str, object], calibration: int, ego: int) -> None:
        self.count[row] += 1
        self.tokens[row] = field(record, "sample_data", "token", str)
        self.files[row] = field(record, "sample_data", "filename", str)
        self.timestamp_us[row] = field(record, "sample_data", "timestamp", int)
        self.width_px[row] = field(record, "sample_data", "width", int)
        self.height_px[row] = field(record, "sample_data", "height", int)
        self.calibration[row], self.ego[row] = calibration, ego

    def problems(self, channel: str) -> Iterator[tuple[int, str]]:
        """(row, reason) for each keyframe this channel makes unusable."""
        for row, count in enumerate(self.count):
            if count != 1:
                yield row, f"{count} records of {channel} in table sample_data, not one"
            elif leaves_root(self.files[row]):
                yield row, f"file name {self.files[row]!r} of {channel} leaves the data set"

    def columns(self, channel: str, calibrations: _Calibrations, poses_E7: NDArray[np.float64]) -> dict[str, pa.Array]:
        calibration, ego = np.asarray(self.calibration), np.asarray(self.ego)
        no_pose = np.zeros((1, 7))  # Stands in where no keyframe has this sensor at all.
        columns = {
            "token": pa.array(self.tokens, pa.string()),
            "file": pa.array(self.files, pa.string()),
            "timestamp_us": pa.array(np.asarray(self.timestamp_us)),
            "calibration": _rows_of(calibrations.poses_S7 if len(calibrations.poses_S7) else no_pose, calibration),
            "ego": _rows_of(poses_E7 if len(poses_E7) else no_pose, ego),
            "width_px": pa.array(np.asarray(self.width_px)),
            "height_px": pa.array(np.asarray(self.height_px)),
        }
        if channel != LIDAR_CHANNEL:
            no_intrinsic = np.zeros((1, 9))
            intrinsics = calibrations.intrinsics_S9 if len(calibrations.intrinsics_S9) else no_intrinsic
            columns["intrinsic"] = _rows_of(intrinsics, calibration)
        return {f"{channel}.{name}": column for name, column in columns.items()}


def _assemble(
    order: _SampleOrder,
    calibrations: _Calibrations,
    shots: dict[str, _ShotColumns],
    poses_E7: NDArray[np.float64],
    lidarseg: dict[str, str],
) -> pa.Table:
    labels: list[str | None] = [lidarseg.get(token or "") for token in shots[LIDAR_CHANNEL].tokens]
    reasons: dict[int, list[str]] = {}
    for channel in CHANNELS:
        for row, reason in shots[channel].problems(channel):
            reasons.setdefault(row, []).append(reason)
            shots[channel].tokens[row] = None
    for row, file in enumerate(labels):
        if file is not None and leaves_root(file):
            reasons.setdefault(row, []).append(f"file name {file!r} of the labels leaves the data set")
            labels[row] = None
    columns = {
        "token": pa.array(order.tokens, pa.string()),
        "scene": pa.array([name for name, _, _ in order.scene_of], pa.string()),
        "scene_token": pa.array([token for _, token, _ in order.scene_of], pa.string()),
        "drive": pa.array([drive for _, _, drive in order.scene_of], pa.string()),
        "lidarseg_file": pa.array(labels, pa.string()),
        "problem": pa.array(
            ["; ".join(reasons[row]) if row in reasons else None for row in range(len(labels))], pa.string()
        ),
    }
    for channel in CHANNELS:
        columns |= shots[channel].columns(channel, calibrations, poses_E7)
    return pa.table(columns)


def _ego_poses(folder: Path, wanted: dict[str, int]) -> NDArray[np.float64]:
    """Poses [E, 7] of the wanted tokens; every one of them must be in the table."""
    poses_E7 = np.full((len(wanted), 7), np.nan)
    missing = dict(wanted)
    for record in iterate_records(folder, "ego_pose"):
        row = missing.pop(field(record, "ego_pose", "token", str), None)
        if row is not None:
            poses_E7[row] = _pose(record, "ego_pose")
    if missing:
        raise dangling("sample_data", {"ego_pose_token": next(iter(missing))}, "ego_pose_token", "ego_pose")
    return poses_E7


def _lidarseg_files(folder: Path) -> dict[str, str]:
    """LiDAR sample_data token -> label file; empty where the data set has no labels.

    Label bytes are indices into the category table, so that table must be the one the class list was made for.
    """
    if not (folder / "lidarseg.json").exists():
        return {}
    for record in iterate_records(folder, "category"):
        index, name = field(record, "category", "index", int), field(record, "category", "name", str)
        if not (0 <= index < len(RAW_CATEGORY_NAMES) and RAW_CATEGORY_NAMES[index] == name):
            raise DataError(f"table category: {name!r} has index {index}: extract category.json of nuScenes-lidarseg")
    return {
        field(record, "lidarseg", "sample_data_token", str): field(record, "lidarseg", "filename", str)
        for record in iterate_records(folder, "lidarseg")
    }


def _pose(record: dict[str, object], table: str) -> list[float]:
    return numbers(record, table, "translation", 3) + numbers(record, table, "rotation", 4)


def _rows_of(values_R: NDArray[np.float64], rows_N: NDArray[np.int64]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values_R[rows_N]).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values_R.shape[1])
