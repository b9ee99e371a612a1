"""Score 3D detections made by anyone on KITTI's object benchmark: average precision at 40 recall points.

    olivine score kitti-object --predictions DIR --ground-truth DIR [--frames val.txt] [--json]

Both folders hold a text file a frame, `000123.txt`: the ground truth is the benchmark's `label_2`; detections have a
score as their 16th field. Boxes are compared on the ground (`bev`) and in space (`3d`). The image's areas without
labels (DontCare) have no box in space, so a detection there counts as wrong, as it does in the official evaluator.

Its thresholds are scores of right detections: with fewer than 41 objects that count, even perfect detections have an AP
below 1 (39/40 with 40 objects, 0 with one). A few frames try the files out; they are no measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError
from olivine.metrics.kitti_boxes import Boxes, overlaps, read_boxes
from olivine.metrics.kitti_matching import (
    DIFFICULTIES,
    Difficulty,
    Frame,
    count_hits,
    ignored_detections,
    ignored_objects,
    scores_of_hits,
)
from olivine.progress import Progress

MIN_IOU = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
"""Overlap that a detection must exceed, by class."""

VIEWS = ("bev", "3d")
_RECALL_POINTS = 40


def score_kitti_object(predictions: Path, ground_truth: Path, frames: Path | None = None) -> dict[str, Any]:
    """Score detections; without `frames` on every frame that has a file of predictions.

    Returns `ap`, shares 0..1 by view (bev, 3d), class and difficulty, with the `mean` over the classes; `num_objects`
    that count, by class and difficulty; `num_frames`; `num_frames_of_ground_truth`. A class without objects that count
    has AP 0, as in the official evaluator.

    Raises:
        DataError: a folder or file is missing or malformed, a frame without its counterpart, nothing to score.
    """
    names = _frame_names(predictions, ground_truth, frames)
    truth, found, iou = [], [], []
    with Progress("score kitti-object", len(names), "frames") as progress:
        for name in names:
            truth.append(read_boxes(ground_truth / name, scored=False))
            found.append(read_boxes(predictions / name, scored=True))
            iou.append(overlaps(truth[-1], found[-1]))
            progress.advance()
    num_objects = {
        kind: {
            difficulty.name: sum(int((ignored_objects(boxes, kind, difficulty) == 0).sum()) for boxes in truth)
            for difficulty in DIFFICULTIES
        }
        for kind in MIN_IOU
    }
    ap: dict[str, dict[str, dict[str, float]]] = {view: {} for view in VIEWS}
    for view in VIEWS:
        view_iou = [of_frame[view] for of_frame in iou]
        for kind in MIN_IOU:
            ap[view][kind] = {
                difficulty.name: average_precision(_prepare(truth, found, view_iou, kind, difficulty), MIN_IOU[kind])
                for difficulty in DIFFICULTIES
            }
        ap[view]["mean"] = {
            difficulty.name: sum(ap[view][kind][difficulty.name] for kind in MIN_IOU) / len(MIN_IOU)
            for difficulty in DIFFICULTIES
        }
    return {
        "ap": ap,
        "num_objects": num_objects,
        "num_frames": len(names),
        "num_frames_of_ground_truth": len(list(ground_truth.glob("*.txt"))),
    }


def average_precision(frames: Sequence[Frame], min_iou: float) -> float:
    """Mean of the interpolated precision at recall 1/40, 2/40, ..., 1 over all frames; 0 without objects that count."""
    num_objects = sum(int((frame.ignored_G == 0).sum()) for frame in frames)
    scores = [score for frame in frames for score in scores_of_hits(frame, min_iou)]
    threshold_T = np.array(score_thresholds(scores, num_objects), np.float64)
    hits_T, false_T = np.zeros(len(threshold_T), np.int64), np.zeros(len(threshold_T), np.int64)
    for frame in frames:
        # A frame without either adds nothing.
        if len(frame.score_D):
            hits, false = count_hits(frame, min_iou, threshold_T)
            hits_T, false_T = hits_T + hits, false_T + false
    precision_R = np.zeros(_RECALL_POINTS + 1)
    precision_R[: len(threshold_T)] = hits_T / np.maximum(hits_T + false_T, 1)
    # Interpolated: the best precision at this recall or a higher one.
    precision_R = np.maximum.accumulate(precision_R[::-1])[::-1]
    return float(precision_R[1:].sum() / _RECALL_POINTS)


def score_thresholds(scores: Sequence[float], num_objects: int) -> list[float]:
    """The scores, highest first, at which recall comes nearest to 0, 1/40, 2/40, ...: 41 at most."""
    ordered = sorted(scores, reverse=True)
    thresholds, recall = [], 0.0
    for position, score in enumerate(ordered):
        is_last = position == len(ordered) - 1
        here = (position + 1) / num_objects
        following = here if is_last else (position + 2) / num_objects
        if following - recall < recall - here and not is_last:
            continue
        thresholds.append(score)
        recall += 1 / _RECALL_POINTS
    return thresholds


def _prepare(
    truth: Sequence[Boxes],
    found: Sequence[Boxes],
    iou: Sequence[NDArray[np.float64]],
    kind: str,
    difficulty: Difficulty,
) -> list[Frame]:
    return [
        Frame(
            iou_GD,
            ignored_objects(objects, kind, difficulty),
            ignored_detections(detections, kind, difficulty),
            detections.score_B,
        )
        for objects, detections, iou_GD in zip(truth, found, iou, strict=True)
    ]


def _frame_names(predictions: Path, ground_truth: Path, frames: Path | None) -> list[str]:
    """Names of the files that are scored, sorted."""
    for folder in (predictions, ground_truth):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder: give the one that holds 000000.txt and so on")
    present = {path.name for path in predictions.glob("*.txt")}
    names = sorted(present) if frames is None else _listed(frames)
    missing = [name for name in names if name not in present]
    if missing:
        raise DataError(
            f"{predictions / missing[0]} is missing (and {len(missing) - 1} more of {len(names)}): predict every frame "
            "of the list; a frame without detections is an empty file"
        )
    lost = [name for name in names if not (ground_truth / name).is_file()]
    if lost:
        raise DataError(
            f"{ground_truth / lost[0]} is missing (and {len(lost) - 1} more): it is predicted, not labelled"
        )
    if not names:
        raise DataError(f"{predictions} holds no *.txt file: give the innermost folder")
    return names


def _listed(frames: Path) -> list[str]:
    try:
        words = frames.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{frames} cannot be read as text ({error}): give a list of frames, as ImageSets/val.txt"
        ) from None
    bad = [word for word in words if not word.isalnum()]
    if bad or not words:
        raise DataError(f"{frames}: {bad[0][:80]!r} is no frame" if bad else f"{frames} lists no frame")
    return sorted({f"{word}.txt" for word in words})
