"""Scans of a labelled data set (`olivine.datasets`) as keyframes without cameras: find, split and pack them.

Splits are made of whole sequences: `val` of the table is `test`, `select` of the table is held back from `train`.
`<root>/splits.json` states others: `{"train": [sequences], "select": [...], "test": [...]}`; sequences that it does not
name are left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from olivine.artifacts import file_digests, sha256_hex
from olivine.datasets import DataSetTable, Scan, find_scans, read_labels, read_points
from olivine.datasets.table import is_safe_name
from olivine.errors import DataError
from olivine.ingest.pack import Packed
from olivine.ingest.splits import Split, read_splits
from olivine.packs import Entry, array_bytes

_SPLITS_FILE = "splits.json"
_READABLE_LETTERS = 55
"""A token has 64 letters at most, 9 of which are digits of the digest and a dash."""


@dataclass(frozen=True)
class ScanFrame:
    """One scan and its split. `labels` is None where its sequence came without any."""

    scan: Scan
    split: Split
    drive: str
    labels: Path | None

    @property
    def name(self) -> str:
        """Sequence and frame, as the data set's own files name them."""
        return f"{self.scan.sequence}/{self.scan.frame}"

    @property
    def token(self) -> str:
        """What names it in the store: 8 digits of a digest, which seed its augmentation, and its own name.

        Of a name that is too long the end stands there, which is the frame, behind 16 more digits: 8 alone would be
        the same for two of some ten thousand frames.
        """
        digest = sha256_hex(f"{self.drive}/{self.name}".encode())
        readable = re.sub(r"[^A-Za-z0-9_-]", "-", self.name)
        if len(readable) > _READABLE_LETTERS:
            readable = f"{digest[8:24]}-{readable[17 - _READABLE_LETTERS :]}"
        return f"{digest[:8]}-{readable}"


def find_frames(table: DataSetTable, root: Path) -> list[ScanFrame]:
    """All scans of the three splits, sorted by sequence and frame, which is the order that fractions count in.

    Raises:
        DataError: files are not there, `splits.json` names a sequence that is missing or names one twice, or `select`
            would be scored against labels of another kind than `test`.
        UsageError: the table has no split `train` or `val`, and there is no `splits.json`.
    """
    own, select = root / _SPLITS_FILE, set(table.select)
    if own.exists():
        given = _own_splits(table, root, own)
        select = set(given["select"])
        named = {"train": (*given["train"], *given["select"]), "val": tuple(given["test"])}
        sequences = {split: names for split, names in named.items() if names}
        table = table.model_copy(update={"sequences": sequences, "lists": {}})
    if select and "train" in table.layout.labels_of_split:
        raise DataError(
            f"{own if own.exists() else table.name}: {sorted(select)[0]} cannot be select: the labels of train of "
            f"{table.name} ({table.labels_pattern('train')}) are not those that scores are taken against. Leave select "
            "empty; list the sequence as test, in an ingest of its own, to choose between models on its full labels"
        )
    frames = []
    for split in table.sequences if own.exists() else ("train", "val"):
        for scan in find_scans(table, root, split):
            where: Split = "test" if split == "val" else "select" if scan.sequence in select else "train"
            labels = scan.labels if scan.labels.parent.is_dir() else None
            frames.append(ScanFrame(scan, where, f"{table.name}-{scan.sequence}", labels))
    return sorted(frames, key=lambda frame: (frame.scan.sequence, frame.scan.frame))


def pack_scan(table: DataSetTable, frame: ScanFrame) -> Packed:
    """Read and check one scan and its labels.

    Raises:
        DataError: a file is missing or unsound, labels are of another length, raw ids are not in the table.
    """
    points_N4 = read_points(table, frame.scan)
    head = {
        "points.npy": array_bytes(points_N4),
        "pair_point.npy": array_bytes(np.zeros(0, np.int32)),
        "pair_pixel.npy": array_bytes(np.zeros((0, 3), np.int16)),
        "meta.json": json.dumps({"scene": frame.scan.sequence, "frame": frame.scan.frame, "cameras": []}).encode(),
    }
    columns = {
        "scene": frame.scan.sequence,
        "drive": frame.drive,
        "split": frame.split,
        "timestamp_us": None,
        "lidar_token": frame.name,
        "num_points": len(points_N4),
        "num_pairs": 0,
    }
    return Packed(Entry(frame.token, head, {}, columns), _labels(table, frame, len(points_N4)), None)


def scan_source_digest(root: Path, frames: list[ScanFrame]) -> str:
    """SHA-256 over split and name of every file, size of the sweeps and bytes of the labels.

    It decides whether an earlier ingest can be reused. A label that is corrected keeps the size of its file, so labels
    are read: 4 bytes a point, beside the 16 and more of the sweep, which packing reads.
    """
    digest = hashlib.sha256()
    for frame in frames:
        points = frame.scan.points
        size = points.stat().st_size if points.is_file() else -1
        digest.update(f"{frame.split}\0{points.relative_to(root)}\0{size}\n".encode())
    labels = [frame.labels for frame in frames if frame.labels is not None]
    for path, sha256 in zip(labels, file_digests(labels, "ingest: labels"), strict=True):
        digest.update(f"{path.relative_to(root)}\0{sha256}\n".encode())
    return digest.hexdigest()


def scan_facts(table: DataSetTable) -> dict[str, Any]:
    """What the summary of these drives states of their classes and sensor, and what to know before a number counts."""
    return {
        "data_set": table.name,
        "class_names": table.class_names,
        "class_colours": [None if item.rgb is None else list(item.rgb) for item in table.classes],
        "intensity_max": table.layout.intensity_max,
        "traps": [table.traps[split] for split in ("train", "val") if split in table.traps],
    }


def _labels(table: DataSetTable, frame: ScanFrame, num_points: int) -> Entry | None:
    if frame.labels is None:
        return None
    label_N = read_labels(table, frame.labels, num_points)
    columns = {"num_labelled": int(np.count_nonzero(label_N))}
    return Entry(frame.token, {"lidarseg.npy": array_bytes(label_N)}, columns=columns)


def _own_splits(table: DataSetTable, root: Path, path: Path) -> dict[Split, list[str]]:
    splits, seen = read_splits(path), set()
    for split, names in splits.items():
        for name in names:
            if not is_safe_name(name) or not table.points_folder(root, name).is_dir():
                raise DataError(
                    f"{path}: sequence {name!r} of {split} is not in {root}: extract it, remove it, or correct it"
                )
            if name in seen:
                raise DataError(f"{path}: sequence {name!r} is listed twice: list it once")
            seen.add(name)
    if not seen:
        raise DataError(f"{path} names no sequence: list what to train on, to select by and to test on")
    return splits
