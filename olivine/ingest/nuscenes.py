"""Read nuScenes v1.0: the keyframes of a version as columns, a sweep, and the labels of a sweep.

The tables are streamed once (`tables.py`); of the two large ones only the rows of keyframes and of the seven sensors
in use are kept. `<version>` is the folder of tables beside `samples/`.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from olivine.errors import DataError
from olivine.ingest.columns import read_columns
from olivine.ingest.keyframes import KeyframeTable, resolve_file
from olivine.ingest.splits import Split, assign_splits
from olivine.ingest.tables import version_folder
from olivine.nuscenes_categories import RAW_CATEGORY_NAMES

_CACHE_FORMAT = "1"
_READ_TABLES = (
    "scene",
    "log",
    "sample",
    "sensor",
    "calibrated_sensor",
    "sample_data",
    "ego_pose",
    "category",
    "lidarseg",
)
_BYTES_PER_POINT = 20


def read_keyframes(root: Path, version: str, cache: Path | None = None) -> KeyframeTable:
    """All keyframes of `<root>/<version>`, in the order of scene.json and, in a scene, of time.

    With a folder `cache`, the columns are kept there and memory-mapped at the next call, for as long as the tables
    have the same sizes and modification times. Nothing is written elsewhere.
    Raises DataError, naming table, token and remedy, for an unknown version, a table that is missing or malformed, a
    missing field or a dangling token. A keyframe that lacks a sensor is not an error: see `Keyframe.problem`.
    """
    folder = version_folder(root, version)
    if cache is None:
        return KeyframeTable(read_columns(folder))
    kept = cache / f"keyframes-{_fingerprint(folder)}.arrow"
    if not kept.exists():
        _write_columns(read_columns(folder), kept)
    try:
        return KeyframeTable(pa.ipc.open_file(pa.memory_map(str(kept))).read_all())
    except pa.ArrowInvalid as error:
        raise DataError(f"{kept} is damaged ({error}): delete it, it is made again") from None


def lidarseg_files(root: Path, version: str, split: Split) -> dict[str, Path]:
    """Token of the LiDAR sample_data -> file of raw labels, for every keyframe of one split.

    DataError when a keyframe of the split has no labels or cannot be used: a score must not leave it out in silence.
    """
    table = read_keyframes(root, version)
    splits = assign_splits(table.scenes, version, root)
    files: dict[str, Path] = {}
    for keyframe in table:
        if splits[keyframe.scene] != split:
            continue
        if keyframe.lidarseg_file is None:
            raise DataError(f"keyframe {keyframe.token} of {keyframe.scene} has no labels: extract nuScenes-lidarseg")
        files[keyframe.lidar.token] = resolve_file(root, keyframe.lidarseg_file)
    if not files:
        raise DataError(f"{root}: no keyframe of {version} is in split {split}: choose another split")
    return files


def load_sweep(path: Path) -> NDArray[np.float32]:
    """LiDAR sweep [N, 5] float32: x, y, z [m], intensity 0..255, ring. DataError for an unreadable or unsound file."""
    size_bytes = _size_of(path)
    if size_bytes == 0 or size_bytes % _BYTES_PER_POINT:
        raise DataError(f"{path} has {size_bytes} bytes, not a positive multiple of {_BYTES_PER_POINT}: copy it again")
    points_N5 = np.fromfile(path, np.float32).reshape(-1, 5)
    if not np.isfinite(points_N5).all():
        row = int(np.flatnonzero(~np.isfinite(points_N5).all(axis=1))[0])
        raise DataError(f"{path}: point {row} is not finite: {points_N5[row].tolist()}; copy the file again")
    return points_N5


def load_lidarseg(path: Path, num_points: int) -> NDArray[np.uint8]:
    """Raw labels [N] uint8 0..31 of a sweep of `num_points`; DataError for another length or an unknown label."""
    size_bytes = _size_of(path)
    if size_bytes != num_points:
        raise DataError(
            f"{path} has {size_bytes} labels for a sweep of {num_points} points: take the file of this sweep"
        )
    labels_N = np.fromfile(path, np.uint8)
    if num_points and int(labels_N.max()) >= len(RAW_CATEGORY_NAMES):
        row = int(labels_N.argmax())
        raise DataError(f"{path}: point {row} has label {labels_N[row]}, but 0..31 are known: is it a lidarseg file?")
    return labels_N


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): is its archive extracted?") from None


def _fingerprint(folder: Path) -> str:
    """Changes whenever one of the tables does, so that a stale cache is never read."""
    states = [_CACHE_FORMAT, str(folder.resolve())]
    for name in _READ_TABLES:
        path = folder / f"{name}.json"
        states.append(f"{name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" if path.exists() else name)
    return hashlib.sha256("\n".join(states).encode()).hexdigest()[:32]


def _write_columns(columns: pa.Table, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, columns.schema) as writer:
        writer.write_table(columns.combine_chunks())
    partial.replace(target)
