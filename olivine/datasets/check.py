"""`olivine datasets`: list the tables, and hold a folder against one of them before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from olivine.datasets.poses import driven_m, read_poses
from olivine.datasets.scans import Scan, find_scans, read_labels, read_points
from olivine.datasets.table import DataSetTable, known_tables, load_table
from olivine.errors import DataError
from olivine.progress import Progress

_MOST_SHOWN = 5


@dataclass(frozen=True)
class Checked:
    """What is in a split: scans, points by class (ignored ones first), what is wrong with which scan, and its trap."""

    scans: int
    driven_m: float | None
    """Length of the path of its sequences; None where none has poses."""

    points_by_class: dict[str, int]
    greatest_intensity: float
    """Of all points of scans that can be read: what there is where the table states no range."""

    problems: list[str]
    trap: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))


def table_lines() -> list[str]:
    """A line for each table that comes with olivine."""
    tables = [load_table(name) for name in known_tables()]
    return [
        f"{table.name:14} {len(table.classes):2} classes; splits {', '.join(table.splits)}; {table.source}"
        for table in tables
    ]


def check_split(table: DataSetTable, root: Path, split: str) -> Checked:
    """Read every scan of a split with its labels and count points by class.

    Raises:
        UsageError: no such split; DataError: files of the split are not there, or all of its scans are unsound.
    """
    scans = find_scans(table, root, split)
    counts = np.zeros(table.num_ids, np.int64)
    problems, greatest = [], -np.inf
    with Progress(f"check {table.name} {split}", len(scans), "scans") as progress:
        for scan in scans:
            try:
                points_N4 = read_points(table, scan)
                greatest = max(greatest, float(points_N4[:, 3].max()))
                counts += np.bincount(read_labels(table, scan.labels, len(points_N4)), minlength=table.num_ids)
            except DataError as error:
                problems.append(str(error))
            progress.advance()
    if len(problems) == len(scans):
        raise DataError(f"none of {len(scans)} scans can be used: {'; '.join(problems[:_MOST_SHOWN])}")
    length_m, without_pose = _follow(scans)
    names = ["ignored", *table.class_names]
    points_by_class = dict(zip(names, counts.tolist(), strict=True))
    return Checked(len(scans), length_m, points_by_class, greatest, problems + without_pose, table.traps.get(split))


def _follow(scans: list[Scan]) -> tuple[float | None, list[str]]:
    """Length [m] of the path of all sequences that have poses, and the scans of these that have none."""
    lengths_m, problems = [], []
    for folder, members in groupby(scans, key=lambda scan: scan.points.parent.parent):
        try:
            poses_S44 = read_poses(folder)
        except DataError as error:
            problems.append(str(error))
            continue
        if poses_S44 is None:
            continue
        lengths_m.append(driven_m(poses_S44))
        # The pose of a scan is found by its number.
        problems += [
            f"{scan.points}: {folder / 'poses.txt'} has no pose of it, only {len(poses_S44)}"
            for scan in members
            if not scan.frame.isdigit() or int(scan.frame) >= len(poses_S44)
        ]
    return (sum(lengths_m) if lengths_m else None), problems
