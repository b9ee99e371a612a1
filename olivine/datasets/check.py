"""`olivine datasets`: list the tables, and hold a folder against one of them before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from olivine.datasets.scans import find_scans, read_labels, read_points
from olivine.datasets.table import DataSetTable, known_tables, load_table
from olivine.errors import DataError
from olivine.progress import Progress

_MOST_SHOWN = 5


@dataclass(frozen=True)
class Checked:
    """What is in a split: scans, points by class (ignored ones first), what is wrong with which scan, and its trap."""

    scans: int
    points_by_class: dict[str, int]
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
    problems = []
    with Progress(f"check {table.name} {split}", len(scans), "scans") as progress:
        for scan in scans:
            try:
                num_points = len(read_points(table, scan))
                counts += np.bincount(read_labels(table, scan.labels, num_points), minlength=table.num_ids)
            except DataError as error:
                problems.append(str(error))
            progress.advance()
    if len(problems) == len(scans):
        raise DataError(f"none of {len(scans)} scans can be used: {'; '.join(problems[:_MOST_SHOWN])}")
    names = ["ignored", *table.class_names]
    return Checked(len(scans), dict(zip(names, counts.tolist(), strict=True)), problems, table.traps.get(split))
