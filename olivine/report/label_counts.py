"""What weak labels are worth, counted over their keyframes: classes, confidence, agreement with hand labels and others.

Shapes: M pairs, C weak classes. Hand labels of `test` are never read: they are for the evaluation alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from olivine.drives import Drives
from olivine.nuscenes_categories import NUM_CATEGORIES
from olivine.packs import Pack, bytes_array

_NUM_IDS = 256
_UNLABELLED = 255


@dataclass(frozen=True)
class Frame:
    """One keyframe. Shares are None where nothing is known: `right` of the labelled pairs whose truth is a weak class,
    `equal` of the pairs that carry a label in one of two sets."""

    token: str
    pairs: int
    labelled: int
    right: float | None
    equal: float | None

    @property
    def coverage(self) -> float:
        """Share of pairs with a weak label."""
        return self.labelled / self.pairs if self.pairs else 0.0


@dataclass
class LabelCounts:
    """Sums over keyframes.

    `by_truth` int64 [17, 256]: pairs by hand label (0 = ignore, or not known) and weak class (255 unlabelled);
    `by_other` int64 [256, 256]: pairs by weak class and by that in the other set; `confidence` int64 [256].
    """

    frames: list[Frame] = field(default_factory=list)
    by_truth: NDArray[np.int64] = field(default_factory=lambda: np.zeros((NUM_CATEGORIES + 1, _NUM_IDS), np.int64))
    by_other: NDArray[np.int64] = field(default_factory=lambda: np.zeros((_NUM_IDS, _NUM_IDS), np.int64))
    confidence: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_NUM_IDS, np.int64))

    @property
    def knows_truth(self) -> bool:
        """Whether any pair has a hand label."""
        return bool(self.by_truth[1:].any())

    def worst(self, count: int) -> list[Frame]:
        """Frames with the fewest right labels first; where truth is not known, those with the fewest labels."""
        known = [frame for frame in self.frames if frame.right is not None]
        if known:
            return sorted(known, key=lambda frame: (frame.right, frame.token))[:count]
        return sorted(self.frames, key=lambda frame: (frame.coverage, frame.token))[:count]

    def most_different(self, count: int) -> list[Frame]:
        """Frames in which two sets agree least."""
        compared = [frame for frame in self.frames if frame.equal is not None]
        return sorted(compared, key=lambda frame: (frame.equal, frame.token))[:count]


def count_labels(
    drives: Drives, labels: Pack, tokens: list[str], class_of: NDArray[np.uint8], other: Pack | None = None
) -> LabelCounts:
    """Count the keyframes `tokens`. `class_of` uint8 [17]: weak class that covers a category, 255 none."""
    counts = LabelCounts()
    for token in tokens:
        head = labels.head(token)
        label_M = bytes_array(head["pair_label.npy"])
        counts.confidence += np.bincount(
            bytes_array(head["pair_confidence.npy"])[label_M != _UNLABELLED], minlength=_NUM_IDS
        )
        truth_M = _truth(drives, token)
        counts.by_truth += _joint(truth_M, label_M, counts.by_truth.shape)
        equal = None
        if other is not None and other.index.position(token) is not None:
            other_M = bytes_array(other.head(token)["pair_label.npy"])
            counts.by_other += _joint(label_M, other_M, counts.by_other.shape)
            either_M = (label_M != _UNLABELLED) | (other_M != _UNLABELLED)
            equal = _share((label_M == other_M)[either_M])
        labelled_M = label_M != _UNLABELLED
        known_M = labelled_M & (class_of[truth_M] != _UNLABELLED)
        right = _share((class_of[truth_M] == label_M)[known_M])
        counts.frames.append(Frame(token, len(label_M), int(labelled_M.sum()), right, equal))
    return counts


def _truth(drives: Drives, token: str) -> NDArray[np.uint8]:
    """Hand label 1..16 of each pair, 0 where there is none or it may not be read."""
    pair_point_M = drives.keyframe(token).pair_point_M
    if drives.split(token) == "test" or not drives.has_lidarseg(token):
        return np.zeros(len(pair_point_M), np.uint8)
    return drives.lidarseg(token)[pair_point_M]


def _joint(first_M: NDArray[np.uint8], second_M: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.int64]:
    counted = np.bincount(first_M.astype(np.int64) * shape[1] + second_M, minlength=shape[0] * shape[1])
    return counted.reshape(shape)


def _share(right_K: NDArray[np.bool_]) -> float | None:
    return float(right_K.mean()) if right_K.size else None


@dataclass(frozen=True)
class ClassAgreement:
    """A weak class against hand labels: shares 0..1, None where nothing is counted."""

    name: str
    pairs: int
    precision: float | None
    recall: float | None


def agree(by_truth: NDArray[np.int64], names: list[str], class_of: NDArray[np.uint8]) -> list[ClassAgreement]:
    """Precision and recall of each weak class over pairs with a hand label; an unlabelled pair is a miss."""
    rows = []
    for id, name in enumerate(names):
        covered = by_truth[class_of == id]
        right, given, true = int(covered[:, id].sum()), int(by_truth[1:, id].sum()), int(covered.sum())
        rows.append(ClassAgreement(name, given, right / given if given else None, right / true if true else None))
    return rows
