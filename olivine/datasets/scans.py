"""Scans of a data set by its table: find them, read points and labels. Shapes: N points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.datasets.table import UNKNOWN, DataSetTable
from olivine.errors import DataError, UsageError

_PART = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"


@dataclass(frozen=True, order=True)
class Scan:
    """One sweep: its sequence, its frame, and its files. `labels` need not be there."""

    sequence: str
    frame: str
    points: Path
    labels: Path


def find_scans(table: DataSetTable, root: Path, split: str) -> list[Scan]:
    """The scans of a split below `root`, sorted by sequence and frame. Labels are not looked for.

    Raises:
        UsageError: no such split.
        DataError: a sequence or list of the split is not there, a list is malformed or names a missing file, no scan.
    """
    table.require_split(split)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give the one that {table.layout.points} begins in.")
    by_list = table.lists.get(split)
    named = _from_list(table, root, by_list) if by_list else _from_folders(table, root, split)
    labels = table.labels_pattern(split)
    scans = sorted(
        Scan(sequence, frame, points, root / _fill(labels, sequence, frame)) for sequence, frame, points in named
    )
    if not scans:
        raise DataError(f"{root} holds no scan of the split {split!r} of {table.name}: is its archive extracted?")
    return scans


def files_of_sequences(table: DataSetTable, root: Path, pattern: str, split: str) -> dict[tuple[str, str], Path]:
    """File by (sequence, frame), sorted, of what lies by `pattern` in the sequences of a split.

    Raises:
        DataError: the folder of a sequence is missing.
    """
    files = {}
    match = _matcher(pattern.rsplit("/", 1)[1])
    for sequence in table.sequences[split]:
        folder = (root / _fill(pattern, sequence, "0")).parent
        if not folder.is_dir():
            raise DataError(f"{folder} is missing: sequence {sequence} of the split {split!r} of {table.name}")
        for path in sorted(folder.iterdir()):
            if found := match.fullmatch(path.name):
                files[sequence, found["frame"]] = path
    return files


def every_nth(scans: Sequence[Scan], step: int) -> Sequence[Scan]:
    """Every N-th scan beginning with the first: 100, 20, 10, 5, 1 for 1, 5, 10, 20, 100 % (paper protocol)."""
    if step < 1:
        raise UsageError(f"every {step}-th scan keeps none: give 1 or more.")
    return scans[::step]


def read_points(table: DataSetTable, scan: Scan) -> NDArray[np.float32]:
    """Points float32 [N, 4]: x, y, z [m] and intensity as it is in the file. DataError for an unsound file."""
    record_bytes = 4 * table.layout.values_per_point
    data = _read(scan.points)
    if not data or len(data) % record_bytes:
        raise DataError(
            f"{scan.points} has {len(data)} bytes, not a positive multiple of {record_bytes} as {table.name} has: "
            "copy it again, or correct values_per_point"
        )
    points_N4 = np.frombuffer(data, np.float32).reshape(-1, table.layout.values_per_point)[:, :4].copy()
    bad_N = ~np.isfinite(points_N4).all(axis=1)
    if bad_N.any():
        row = int(bad_N.argmax())
        raise DataError(f"{scan.points}: point {row} is not finite: {points_N4[row].tolist()}; copy the file again")
    return points_N4


def read_raw_labels(path: Path) -> NDArray[np.uint16]:
    """Raw ids uint16 [N] of a file of uint32: its low 16 bits. DataError for an unsound file."""
    data = _read(path)
    if len(data) % 4:
        raise DataError(f"{path} has {len(data)} bytes, not a multiple of 4: is it a file of uint32 labels?")
    return (np.frombuffer(data, np.uint32) & 0xFFFF).astype(np.uint16)


def read_labels(table: DataSetTable, path: Path, num_points: int | None = None) -> NDArray[np.uint8]:
    """Class ids uint8 [N] of a file of raw labels, 0 for ignored.

    Raises:
        DataError: another length than `num_points`, or raw ids that the table does not list; each is named and counted.
    """
    raw_N = read_raw_labels(path)
    if num_points is not None and len(raw_N) != num_points:
        raise DataError(f"{path} has {len(raw_N)} labels for a scan of {num_points} points: take the file of this scan")
    class_N: NDArray[np.uint8] = table.raw_to_class()[raw_N]
    unknown_N = class_N == UNKNOWN
    if unknown_N.any():
        ids, counts = np.unique(raw_N[unknown_N], return_counts=True)
        found = ", ".join(f"{raw} ({count} points)" for raw, count in zip(ids.tolist(), counts.tolist(), strict=True))
        raise DataError(
            f"{path}: raw ids that {table.name} does not list: {found}. Take labels of this data set, or a table that "
            "lists these ids in a class or as ignored"
        )
    return class_N


def write_prediction(
    table: DataSetTable, root: Path, sequence: str, frame: str, class_N: NDArray[np.integer[Any]]
) -> Path:
    """Write class ids [N], 0..C, of one scan where the data set's own evaluator looks for them, as raw ids uint32.

    Raises:
        UsageError: the data set has no evaluator of its own; DataError: an id outside of 0..C.
    """
    if not table.layout.predictions:
        raise UsageError(f"the table of {table.name} does not say where predictions lie: set layout.predictions.")
    if class_N.size and not 0 <= int(class_N.min()) <= int(class_N.max()) < table.num_ids:
        raise DataError(f"{sequence}/{frame}: class ids are outside of 0..{table.num_ids - 1}: map them first")
    path = root / _fill(table.layout.predictions, sequence, frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.class_to_raw()[class_N].tofile(path)
    return path


def _from_folders(table: DataSetTable, root: Path, split: str) -> Iterator[tuple[str, str, Path]]:
    for (sequence, frame), path in files_of_sequences(table, root, table.layout.points, split).items():
        yield sequence, frame, path


def _from_list(table: DataSetTable, root: Path, name: str) -> Iterator[tuple[str, str, Path]]:
    match, path = _matcher(table.layout.points), root / name
    for number, line in enumerate(_read(path).decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        file = line.split()[0]
        found = match.fullmatch(file)
        if not found:
            raise DataError(f"{path}, line {number}: {file[:120]!r} is not of the form {table.layout.points}")
        if not (root / file).is_file():
            raise DataError(f"{path}, line {number}: {root / file} is missing: extract it, or correct the list")
        yield found["sequence"], found["frame"], root / file


def _matcher(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern)
    for name in ("sequence", "frame"):
        escaped = escaped.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{_PART})")
    return re.compile(escaped)


def _fill(pattern: str, sequence: str, frame: str) -> str:
    return pattern.replace("{sequence}", sequence).replace("{frame}", frame)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): is its archive extracted?") from None
