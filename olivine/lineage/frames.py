"""Keyframes of a drives artifact as columns: what its index says of them, without the sensor data."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute

from olivine.artifacts import Artifact, Manifest
from olivine.drives import KEYFRAMES
from olivine.errors import IntegrityError
from olivine.packs.parquet import read_parquet
from olivine.store import Store

COLUMNS = ("keyframe", "scene", "drive", "split", "timestamp_us")


def frame_table(store: Store, drives: Manifest) -> pa.Table:
    """The columns `COLUMNS`, one row a keyframe, in the order of the index.

    Raises:
        IntegrityError: the index is missing, changed or no such table.
    """
    data = Artifact(store, drives).read(KEYFRAMES)
    try:
        return read_parquet(data, COLUMNS)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise IntegrityError(f"{drives.key}: {KEYFRAMES} is no index of keyframes ({error}). Ingest again.") from error


def drive_of(table: pa.Table, keyframe: str) -> str | None:
    """The drive of a keyframe, None when the table does not hold it."""
    found = pa.compute.index(table.column("keyframe"), keyframe).as_py()
    return None if found < 0 else str(table.column("drive")[found].as_py())


def count_by_drive(table: pa.Table, split: str | None = None, keyframes: list[str] | None = None) -> dict[str, int]:
    """Keyframes of each drive, of all or of those given, in a split (`all_train` = train and select) or anywhere."""
    if split is not None:
        wanted = ["train", "select"] if split == "all_train" else [split]
        table = table.filter(pa.compute.is_in(table.column("split"), pa.array(wanted)))
    if keyframes is not None:
        table = table.filter(pa.compute.is_in(table.column("keyframe"), pa.array(keyframes, pa.string())))
    counted = pa.compute.value_counts(table.column("drive")).to_pylist()
    return {str(row["values"]): int(row["counts"]) for row in sorted(counted, key=lambda row: str(row["values"]))}
