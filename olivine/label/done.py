"""One labelled keyframe: what goes into the shard, what is counted, and its form as a part of unfinished work."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.label.class_list import IGNORE_ID
from olivine.label.instances import instances_bytes
from olivine.label.labelers import Labeler, Labels
from olivine.packs import Entry, array_bytes
from olivine.packs.superpixels import Superpixels, superpixel_members

_NUM_IDS = 256
Cells = list[list[int]]
"""A sparse matrix of counts: [row, column, count]."""


@dataclass(frozen=True)
class Done:
    """A labelled keyframe. `confusion`: pairs by true and by weak class (255 unknown, unlabelled); `pixels`: pixels by
    weak class as [0, class, count]; `instances`: a Parquet file of them, empty where the labeler knows none.
    """

    entry: Entry
    confusion: Cells
    pixels: Cells
    num_segments: list[int]
    instances: bytes

    def to_note(self) -> dict[str, Any]:
        """As JSON, to be kept while its shard is not complete."""
        # Lists, not objects: a shard's bytes depend on the order of its members, and a part's JSON sorts its keys.
        head, tail = ([[n, _text(data)] for n, data in part.items()] for part in (self.entry.head, self.entry.tail))
        entry = {"keyframe": self.entry.keyframe, "head": head, "tail": tail, "columns": self.entry.columns}
        counts = {"confusion": self.confusion, "pixels": self.pixels, "num_segments": self.num_segments}
        return {"entry": entry, "instances": _text(self.instances), **counts}

    @staticmethod
    def from_note(note: dict[str, Any]) -> Done:
        """The keyframe that `to_note` kept."""
        entry = note["entry"]
        head, tail = ({n: base64.b64decode(text) for n, text in entry[part]} for part in ("head", "tail"))
        kept = Entry(entry["keyframe"], head, tail, entry["columns"])
        return Done(kept, note["confusion"], note["pixels"], note["num_segments"], base64.b64decode(note["instances"]))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Tally:
    """Sums over keyframes. `confusion` int64 [256, 256]: pairs by true and weak class; `pixels` int64 [256]."""

    confusion: NDArray[np.int64] = field(default_factory=lambda: np.zeros((_NUM_IDS, _NUM_IDS), np.int64))
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros((1, _NUM_IDS), np.int64))
    num_segments: list[int] = field(default_factory=list)

    def add(self, confusion: Cells, pixels: Cells, num_segments: list[int]) -> None:
        """Count one keyframe, or one shard."""
        for total, cells in ((self.confusion, confusion), (self.pixels, pixels)):
            for row, column, count in cells:
                total[row, column] += count
        self.num_segments += num_segments

    def to_note(self) -> dict[str, Any]:
        """As JSON; `add(**note)` counts it again."""
        return {
            "confusion": _cells(self.confusion),
            "pixels": _cells(self.pixels),
            "num_segments": self.num_segments,
        }


def _cells(counts: NDArray[np.int64]) -> Cells:
    rows, columns = np.nonzero(counts)
    return [[int(r), int(c), int(counts[r, c])] for r, c in zip(rows, columns, strict=True)]


def finish_keyframe(
    drives: Drives, keyframe: Keyframe, labeler: Labeler, labels: Labels, segments: tuple[Superpixels, list[int]] | None
) -> Done:
    """Encode and count the labels of one keyframe."""
    truth_M = _truth(drives, labeler, keyframe)
    confusion = np.bincount(truth_M.astype(np.int64) * _NUM_IDS + labels.pair_label_M, minlength=_NUM_IDS**2)
    pixels = sum(
        (np.bincount(mask.ravel(), minlength=_NUM_IDS) for mask in labels.masks or ()), np.zeros(_NUM_IDS, int)
    )
    found = zip(CAMERAS, labels.found or (), strict=False)
    return Done(
        _entry(keyframe, labels, segments[0] if segments else None),
        _cells(confusion.reshape(_NUM_IDS, _NUM_IDS)),
        _cells(pixels[None]),
        segments[1] if segments else [],
        instances_bytes((keyframe.token, camera, item.instances) for camera, item in found) if labels.found else b"",
    )


def _truth(drives: Drives, labeler: Labeler, keyframe: Keyframe) -> NDArray[np.uint8]:
    """True weak class of each pair, to measure labels with; 255 wherever truth must not or cannot be read.

    Hand labels of `test` are for the evaluation alone.
    """
    token, pair_point_M = keyframe.token, keyframe.pair_point_M
    if labeler.kind not in MEASURED or drives.split(token) == "test" or not drives.has_lidarseg(token):
        return np.full(len(pair_point_M), IGNORE_ID, np.uint8)
    truth_M: NDArray[np.uint8] = labeler.classes.from_nuscenes()[drives.lidarseg(token)[pair_point_M]]
    return truth_M


MEASURED = ("truth", "simulated")
"""Labelers that know the truth anyway. Labels of all others are made, and trained on, without a look at it; `olivine
label inspect` compares them afterwards."""


def _entry(keyframe: Keyframe, labels: Labels, superpixels: Superpixels | None) -> Entry:
    members = {
        "pair_label.npy": array_bytes(labels.pair_label_M),
        "pair_confidence.npy": array_bytes(_pair_confidence(keyframe, labels)),
    }
    members |= superpixel_members(superpixels) if superpixels else {}
    masks = {f"{camera}.png": mask for camera, mask in zip(CAMERAS, labels.masks or (), strict=False)}
    if labels.found:
        confidence = {camera: item.composite.confidence_HW for camera, item in zip(CAMERAS, labels.found, strict=True)}
        masks |= {f"{camera}.confidence.png": image for camera, image in confidence.items()}
    tail = {name: _encode_png(image) for name, image in masks.items()}
    return Entry(keyframe.token, members, tail, {"num_pairs": len(labels.pair_label_M)})


def _pair_confidence(keyframe: Keyframe, labels: Labels) -> NDArray[np.uint8]:
    """Confidence of each pair, uint8 [M]: 255 where a labeler gives none."""
    if labels.found is None:
        return np.where(labels.pair_label_M == IGNORE_ID, 0, 255).astype(np.uint8)
    image, row, column = keyframe.pair_pixel_M3.T
    confidence_M: NDArray[np.uint8] = np.stack([item.composite.confidence_HW for item in labels.found])[
        image, row, column
    ]
    return confidence_M


def _encode_png(mask_HW: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask_HW).save(buffer, "png", compress_level=3)
    return buffer.getvalue()
