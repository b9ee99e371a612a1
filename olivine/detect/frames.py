"""The `frames` artifact: labelled frames of KITTI's object benchmark, packed with what the camera sees of each.

Written by `pack_frames` (`olivine detect ingest`), read by `Frames`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from olivine.artifacts import Artifact, Output, Quarantined, begin, file_digests
from olivine.artifacts.shards import cut_shards, finish_shards
from olivine.artifacts.withdrawn import withdrawals
from olivine.detect.calibration import Calibration, parse_calibration
from olivine.detect.kitti import RawFrame, frame_boxes, read_frame, read_split, sensor_files, text_files
from olivine.detect.recipe import FramesRecipe
from olivine.errors import DataError, UsageError
from olivine.metrics.kitti_boxes import Boxes, parse_boxes
from olivine.packs import Entry, Pack, array_bytes, build_shard, bytes_array, index_bytes
from olivine.progress import Progress
from olivine.quarantine import Quarantine
from olivine.store import Store

_DRIVE = "kitti_object"
"""The benchmark does not say which drive a frame is of: all of it goes as one."""

_COLUMNS = {
    "scene": pa.string(),
    "drive": pa.string(),
    "split": pa.string(),
    "timestamp_us": pa.int64(),
    "num_points": pa.int64(),
    "width_px": pa.int64(),
    "height_px": pa.int64(),
}
_LICENCE = ("CC BY-NC-SA 3.0 (KITTI, non-commercial)",)


@dataclass(frozen=True)
class Frame:
    """One frame: points float32 [N, 4] (x, y, z [m], intensity) that the camera sees, and its labels.

    `kind_B` in lower case and `boxes_B7` in the LiDAR's frame (`olivine.detect.geometry`) are the labels with a box in
    space; `labels` are all of them.
    """

    name: str
    points_N4: NDArray[np.float32]
    calibration: Calibration
    image_size: tuple[int, int]
    labels: Boxes
    kind_B: NDArray[np.str_]
    boxes_B7: NDArray[np.float64]


class Frames:
    """Frames of a `frames` artifact by name."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self._pack = Pack(artifact)

    @cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        columns = {name: self._pack.index.column(name) for name in ("keyframe", *_COLUMNS)}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return {row["keyframe"]: row for row in rows}

    def names(self, split: str) -> list[str]:
        """The frames of a split, in the order of its list; UsageError when there are none."""
        names = [name for name, row in self._rows.items() if row["split"] == split]
        if not names:
            splits = dict.fromkeys(row["split"] for row in self._rows.values())
            raise UsageError(
                f"frames {self.artifact.id[:12]} have none of the split {split!r}: choose one of {', '.join(splits)}."
            )
        return names

    def frame(self, name: str) -> Frame:
        """One frame, by one range read."""
        members, row = self._pack.head(name), self._rows[name]
        calibration = parse_calibration(members["calib.txt"].decode("ascii"), f"frame {name}")
        labels = parse_boxes(members["label.txt"].decode("ascii"), f"frame {name}", scored=False)
        size = int(row["width_px"]), int(row["height_px"])
        points_N4 = bytes_array(members["points.npy"])
        return Frame(name, points_N4, calibration, size, labels, *frame_boxes(labels, calibration))

    def label_text(self, name: str) -> str:
        """The file of labels as it came."""
        return self._pack.head(name)["label.txt"].decode("ascii")


def pack_frames(root: Path, store: Store, recipe: FramesRecipe) -> Artifact:
    """Pack the frames of the benchmark at `root`; return the `frames` artifact.

    Raises:
        DataError: a list is missing or unsound, a frame is in two lists, or more than 5 % of the frames are bad.
        UsageError: the benchmark was withdrawn from the store.
    """
    if gone := withdrawals(store).get(_DRIVE):
        raise UsageError(
            f"{_DRIVE} was withdrawn from {store.url}: {gone[-1].reason}. Nothing more is made of it there."
        )
    split_of = _assign_splits(root, recipe.splits)
    resolved = recipe.resolved() | {"source": _source_digest(root, split_of)}
    out = begin(store, "ingest", "frames", {}, resolved, seed=0)
    if isinstance(out, Artifact):
        return out
    rows: list[dict[str, Any]] = []
    quarantine, names = Quarantine("detect ingest"), list(split_of)
    with Progress("detect ingest", len(names), "frames") as progress:
        notes = finish_shards(
            out,
            cut_shards(names, recipe.frames_per_shard),
            progress,
            lambda number, part: _pack_shard(out, root, part, split_of, number, recipe, progress),
        )
    for note in notes.values():
        rows += note["rows"]
        quarantine.frames += [Quarantined.model_validate(item) for item in note["quarantined"]]
    quarantine.check(len(names))
    out.put("index.parquet", index_bytes(rows, _COLUMNS))
    counts = {"frames_in": len(names), "frames": len(rows), "quarantined": len(quarantine.frames)}
    counts["points"] = sum(row["num_points"] for row in rows)
    splits = {split: sum(row["split"] == split for row in rows) for split in recipe.splits}
    summary = {"drives": [_DRIVE], "splits": splits, "assumed_image_size": recipe.image_size}
    return out.publish(counts, summary, _LICENCE, tuple(quarantine.frames))


def _assign_splits(root: Path, splits: Sequence[str]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for split in splits:
        if not split.isidentifier():
            raise UsageError(f"{split!r} is no name of a split: give that of a list in ImageSets, as train or val.")
        for name in read_split(root, split):
            if name in split_of:
                raise DataError(
                    f"{root / 'ImageSets'}: frame {name} is in {split_of[name]} and in {split}: what is trained on may "
                    "not be scored. Correct the lists"
                )
            split_of[name] = split
    return split_of


def _source_digest(root: Path, split_of: Mapping[str, str]) -> str:
    """SHA-256 over split and name of each frame, the sizes of sweep and image, and the bytes of calibration and labels.

    It decides whether an earlier artifact is the same. A number that is corrected keeps the size of its file.
    """
    digest = hashlib.sha256()
    for name, split in split_of.items():
        sizes = [path.stat().st_size if path.is_file() else -1 for path in sensor_files(root, name)]
        digest.update(f"{split}\0{name}\0{sizes}\n".encode())
    texts = [path for name in split_of for path in text_files(root, name)]
    for sha256 in file_digests(texts, "detect ingest: labels"):
        digest.update(f"{sha256}\n".encode())
    return digest.hexdigest()


def _pack_shard(
    out: Output,
    root: Path,
    names: Sequence[str],
    split_of: Mapping[str, str],
    number: int,
    recipe: FramesRecipe,
    progress: Progress,
) -> dict[str, Any]:
    entries, bad = [], []
    for name in names:
        try:
            entries.append(_entry(read_frame(root, name, recipe.image_size), split_of[name]))
        except DataError as error:
            bad.append({"frame": name, "reason": str(error)})
        progress.advance()
    path = f"shards/{number:05d}.tar"
    data, rows = build_shard(path, entries)
    out.put(path, data)
    note = {"rows": rows, "quarantined": bad}
    if not bad:
        # A shard with bad frames is read anew by the next run: they may have been repaired.
        out.save_part(f"shard-{number:05d}", [path], note)
    return note


def _entry(frame: RawFrame, split: str) -> Entry:
    head = {
        "points.npy": array_bytes(frame.points_N4),
        "calib.txt": frame.calibration.encode("ascii"),
        "label.txt": frame.labels.encode("ascii"),
    }
    width, height = frame.image_size
    # Frames have neither scene nor time; lineage wants to see that.
    columns: dict[str, Any] = {"scene": None, "drive": _DRIVE, "split": split, "timestamp_us": None}
    columns |= {"num_points": len(frame.points_N4), "width_px": width, "height_px": height}
    return Entry(frame.name, head, columns=columns)
