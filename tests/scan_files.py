"""A data set of a few points in any table's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from olivine.datasets import DataSetTable


def write_scan(root: Path, table: DataSetTable, split: str, sequence: str, frame: str, raw: list[int]) -> None:
    """Write points and raw labels of one scan; the high 16 bits hold instances, as in the real files."""
    rng = np.random.default_rng(int(frame))
    points = rng.normal(size=(len(raw), table.layout.values_per_point)).astype(np.float32)
    labels = np.array(raw, np.uint32) | (np.arange(len(raw), dtype=np.uint32) << 16)
    for pattern, array in ((table.layout.points, points), (table.labels_pattern(split), labels)):
        path = root / pattern.replace("{sequence}", sequence).replace("{frame}", frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        array.tofile(path)


def write_list(root: Path, table: DataSetTable, split: str, scans: list[tuple[str, str]]) -> None:
    """The list of a split: file of points, file of labels."""
    lines = [
        " ".join(
            pattern.replace("{sequence}", sequence).replace("{frame}", frame)
            for pattern in (table.layout.points, table.layout.labels)
        )
        for sequence, frame in scans
    ]
    (root / table.lists[split]).write_text("\n".join(lines) + "\n")


def write_sequences(root: Path, table: DataSetTable, num_scans: int, num_points: int = 60) -> None:
    """Every sequence of train and val with so many scans, whose points hold all classes and an ignored id in turn."""
    raw_of_class = [table.ignored[0], *(item.raw_ids[0] for item in table.classes)]
    raw = [raw_of_class[point % len(raw_of_class)] for point in range(num_points)]
    for split in ("train", "val"):
        for sequence in table.sequences[split]:
            for frame in range(num_scans):
                write_scan(root, table, split, sequence, f"{frame:06d}", raw)
