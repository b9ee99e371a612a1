"""Score predictions made by anyone on nuScenes-lidarseg, equal to the official evaluator.

    olivine score nuscenes-lidarseg --predictions DIR --ground-truth DIR [--json]

A prediction is one file per sweep, `<token of the LiDAR sample_data>_lidarseg.bin`, one byte (class 1..16) a point in
the order of the sweep: the submission format of the benchmark. The ground truth has the same names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError
from olivine.metrics.confusion import Confusion
from olivine.metrics.iou import frequency_weighted_iou, iou_per_category, mean_iou
from olivine.nuscenes_categories import CATEGORY_NAMES, RAW_TO_CATEGORY

_SUFFIX = "_lidarseg.bin"
_NUM_CATEGORIES = len(CATEGORY_NAMES) + 1


@dataclass(frozen=True)
class Score:
    """The result of scoring: shares 0..1; NaN where a category neither occurs nor is predicted."""

    miou: float
    frequency_weighted_iou: float
    per_category: dict[str, float]
    num_points: int
    num_sweeps: int

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file, with null for NaN, which JSON does not have."""
        return {
            "miou": _or_null(self.miou),
            "frequency_weighted_iou": _or_null(self.frequency_weighted_iou),
            "per_category": {name: _or_null(value) for name, value in self.per_category.items()},
            "num_points": self.num_points,
            "num_sweeps": self.num_sweeps,
        }


def score_arrays(prediction_N: NDArray[Any], target_N: NDArray[Any]) -> Score:
    """Score one array of predictions (classes 1..16) against targets (classes 0..16, 0 ignored)."""
    confusion = Confusion(_NUM_CATEGORIES)
    confusion.add(target_N, prediction_N)
    return score_confusion(confusion, num_sweeps=1)


def score_confusion(confusion: Confusion, num_sweeps: int, names: Sequence[str] = CATEGORY_NAMES) -> Score:
    """The score of what `confusion` has counted over the ids 1, 2, ... of `names`; `num_points` leaves out id 0."""
    iou_C = iou_per_category(confusion.counts_CC).tolist()
    return Score(
        miou=mean_iou(confusion.counts_CC),
        frequency_weighted_iou=frequency_weighted_iou(confusion.counts_CC),
        per_category=dict(zip(names, iou_C[1:], strict=True)),
        num_points=int(confusion.counts_CC[1:].sum()),
        num_sweeps=num_sweeps,
    )


def score_nuscenes_lidarseg(
    predictions: Path, ground_truth: Path | Mapping[str, Path], raw_labels: bool = False
) -> dict[str, Any]:
    """Score a folder of predictions; returns `Score.as_json()`.

    `ground_truth` is a folder of `<token>_lidarseg.bin`, or the file of each token
    (`olivine.ingest.nuscenes.lidarseg_files` finds them in a data set). Its bytes are classes 0..16, or, with
    `raw_labels`, the 32 raw ids of the data set.
    Raises DataError, naming file and remedy, for a missing or surplus prediction, a wrong length, a class outside
    1..16 in a prediction, an unknown label in the ground truth, or when there is nothing to score.
    """
    predicted = _files_in(predictions)
    truth = dict(ground_truth) if isinstance(ground_truth, Mapping) else _files_in(ground_truth)
    _check_same_tokens(predictions, predicted, truth)
    confusion = Confusion(_NUM_CATEGORIES)
    for token, target_file in truth.items():
        target_N, prediction_N = _read(target_file), _read(predicted[token])
        if raw_labels:
            target_N = _to_categories(target_N, target_file)
        confusion.add(target_N, prediction_N, where=f"{predicted[token]} against {target_file}")
    if not confusion.counts_CC[1:].any():
        raise DataError(f"{predictions}: no point of the ground truth has a class 1..16, so there is nothing to score")
    return score_confusion(confusion, num_sweeps=len(truth)).as_json()


def _files_in(folder: Path) -> dict[str, Path]:
    """Token -> file, sorted by token."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the folder that holds the *{_SUFFIX} files")
    files = sorted(folder.glob("*.bin"))
    for file in files:
        if not file.name.endswith(_SUFFIX):
            raise DataError(f"{file} is not named <token>{_SUFFIX}: rename it, or move it out of the folder")
    if not files:
        raise DataError(f"{folder} holds no *{_SUFFIX} file: give the innermost folder, or a data set with its version")
    return {file.name.removesuffix(_SUFFIX): file for file in files}


def _check_same_tokens(folder: Path, predicted: Mapping[str, Path], truth: Mapping[str, Path]) -> None:
    missing = [token for token in truth if token not in predicted]
    if missing:
        example = folder / f"{missing[0]}{_SUFFIX}"
        raise DataError(f"{example} is missing (and {len(missing) - 1} more of {len(truth)}): predict every sweep")
    surplus = [token for token in predicted if token not in truth]
    if surplus:
        raise DataError(
            f"{predicted[surplus[0]]} (and {len(surplus) - 1} more) has no ground truth: "
            "score it against the split that it was made for, or remove it"
        )


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): is its archive extracted?") from None


def _to_categories(raw_N: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    if raw_N.size and int(raw_N.max()) >= len(RAW_TO_CATEGORY):
        raise DataError(f"{path}: label {raw_N.max()} is outside 0..{len(RAW_TO_CATEGORY) - 1}: is it a lidarseg file?")
    return np.asarray(RAW_TO_CATEGORY[raw_N])


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
