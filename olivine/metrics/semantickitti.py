"""Score predictions made by anyone on SemanticKITTI, equal to the official evaluator.

    olivine score semantickitti --predictions DIR --ground-truth DIR [--json]

Files lie as in the benchmark: `sequences/08/predictions/000000.label` against `sequences/08/labels/000000.label`,
uint32 raw ids a point. Points whose ground truth is ignored are left out; predicting an ignored id elsewhere is a miss.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.datasets import DataSetTable, files_of_sequences, load_table, read_labels
from olivine.errors import DataError
from olivine.metrics.confusion import Confusion
from olivine.progress import Progress


def score_semantickitti(predictions: Path, ground_truth: Path, split: str = "val") -> dict[str, Any]:
    """Score the sequences of a split; `predictions` and `ground_truth` are the folders that hold `sequences/`.

    Returns shares 0..1: `miou`, the official mean over all 19 classes, in which a class that neither occurs nor is
    predicted counts 0; `miou_present`, the mean without such classes; `per_category` with null for them; `num_points`
    that were scored; `num_sweeps`; `split`.

    Raises:
        UsageError: no such split.
        DataError: a missing or surplus prediction, a wrong length, unknown raw ids, nothing to score.
    """
    table = load_table("semantickitti")
    table.require_split(split)
    truth = files_of_sequences(table, _root(ground_truth), table.labels_pattern(split), split)
    predicted = files_of_sequences(table, _root(predictions), table.layout.predictions, split)
    _check_same_scans(table, predictions, predicted, truth)
    confusion = Confusion(table.num_ids, lowest_prediction=0)
    with Progress("score semantickitti", len(truth), "scans") as progress:
        for key, target_file in truth.items():
            target_N, prediction_N = read_labels(table, target_file), read_labels(table, predicted[key])
            confusion.add(target_N, prediction_N, f"{predicted[key]} against {target_file}")
            progress.advance()
    if not confusion.counts_CC[1:].any():
        raise DataError(f"{ground_truth}: no point of the split {split!r} has a class, so there is nothing to score")
    iou_C = iou_counting_ignored(confusion.counts_CC)
    present_C = ~np.isnan(iou_C)
    per_category = [None if math.isnan(value) else value for value in iou_C.tolist()]
    return {
        "miou": float(np.nansum(iou_C) / len(iou_C)),
        "miou_present": float(iou_C[present_C].mean()),
        "per_category": dict(zip(table.class_names, per_category, strict=True)),
        "num_points": int(confusion.counts_CC[1:].sum()),
        "num_sweeps": len(truth),
        "split": split,
    }


def iou_counting_ignored(counts_CC: NDArray[np.int64]) -> NDArray[np.float64]:
    """TP / (TP + FP + FN) of the classes 1.., float64 [C - 1], from counts [target, prediction].

    Points whose target is the ignored class 0 are left out; a prediction 0 is a miss of its target, and no false alarm
    of any class. NaN for a class that neither occurs nor is predicted.
    """
    scored_CC = counts_CC[1:]
    hits_C = np.diagonal(scored_CC[:, 1:])
    union_C = scored_CC.sum(axis=1) + scored_CC[:, 1:].sum(axis=0) - hits_C
    return np.asarray(hits_C / np.where(union_C > 0, union_C, np.nan))


def _root(folder: Path) -> Path:
    if not (folder / "sequences").is_dir():
        raise DataError(
            f"{folder} holds no folder sequences/: give the one above it, as the benchmark's evaluator does"
        )
    return folder


def _check_same_scans(
    table: DataSetTable, folder: Path, predicted: dict[tuple[str, str], Path], truth: dict[tuple[str, str], Path]
) -> None:
    if not truth:
        raise DataError(f"no file of the form {table.layout.labels}: is the archive of the labels extracted?")
    missing = [key for key in truth if key not in predicted]
    if missing:
        (sequence, frame), more = missing[0], len(missing) - 1
        raise DataError(
            f"{folder}: scan {frame} of sequence {sequence} (and {more} more of {len(truth)}) has no prediction: "
            f"predict every scan into {table.layout.predictions}"
        )
    surplus = [path for key, path in predicted.items() if key not in truth]
    if surplus:
        raise DataError(f"{surplus[0]} (and {len(surplus) - 1} more) has no ground truth: remove it, or add the labels")
