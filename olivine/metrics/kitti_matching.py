"""Which detection counts for which object, as KITTI's evaluator decides it, at all score thresholds at once.

Shapes: G objects of the ground truth, D detections of one frame; T thresholds. `ignored` is 0 for what counts, 1 for
what may be matched without counting (a neighbouring class, too small, too occluded, too truncated), -1 for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olivine.metrics.kitti_boxes import Boxes

NEIGHBOURS = {"car": "van", "pedestrian": "person_sitting"}
"""Detections of these are neither right nor wrong."""

_NOT_THERE = -1


@dataclass(frozen=True)
class Difficulty:
    """What an object must be to count."""

    name: str
    min_height: float
    max_occlusion: float
    max_truncation: float


DIFFICULTIES = (
    Difficulty("easy", 40, 0, 0.15),
    Difficulty("moderate", 25, 1, 0.3),
    Difficulty("hard", 25, 2, 0.5),
)


@dataclass(frozen=True)
class Frame:
    """One frame prepared for one class and difficulty: overlaps [G, D] and who is ignored."""

    iou_GD: NDArray[np.float64]
    ignored_G: NDArray[np.int8]
    ignored_D: NDArray[np.int8]
    score_D: NDArray[np.float64]


def ignored_objects(truth: Boxes, kind: str, difficulty: Difficulty) -> NDArray[np.int8]:
    """`ignored` int8 [G] of ground truth."""
    is_hard_G = (
        (truth.occlusion_B > difficulty.max_occlusion)
        | (truth.truncation_B > difficulty.max_truncation)
        | (truth.image_height_B <= difficulty.min_height)
    )
    ignored_G = np.full(len(truth), -1, np.int8)
    ignored_G[truth.kind_B == kind] = 0
    ignored_G[(truth.kind_B == kind) & is_hard_G] = 1
    ignored_G[truth.kind_B == NEIGHBOURS.get(kind, "")] = 1
    return ignored_G


def ignored_detections(found: Boxes, kind: str, difficulty: Difficulty) -> NDArray[np.int8]:
    """`ignored` int8 [D] of detections. A small one may be matched whatever its class is: the evaluator has it so."""
    ignored_D = np.where(found.kind_B == kind, 0, -1).astype(np.int8)
    ignored_D[np.abs(found.image_height_B) < difficulty.min_height] = 1
    return ignored_D


def scores_of_hits(frame: Frame, min_iou: float) -> list[float]:
    """Scores of the right detections when none is left out: each object takes the highest score that overlaps it."""
    taken_D = np.zeros(len(frame.score_D), bool)
    scores = []
    for row in np.flatnonzero(frame.ignored_G >= 0):
        open_D = np.flatnonzero((frame.iou_GD[row] > min_iou) & (frame.ignored_D >= 0) & ~taken_D)
        if not len(open_D):
            continue
        best = open_D[frame.score_D[open_D].argmax()]
        taken_D[best] = True
        if frame.ignored_G[row] == 0 and frame.ignored_D[best] == 0:
            scores.append(float(frame.score_D[best]))
    return scores


def count_hits(
    frame: Frame, min_iou: float, threshold_T: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and false positives int64 [T] of the detections whose score reaches each threshold.

    Each object in turn takes the detection that overlaps it most, of those that count, or else the first that may be
    matched without counting.
    """
    reaches_TD = frame.score_D >= threshold_T[:, None]
    taken_TD = np.zeros_like(reaches_TD)
    hits_T = np.zeros(len(threshold_T), np.int64)
    rows = np.arange(len(threshold_T))
    for row in np.flatnonzero(frame.ignored_G >= 0):
        near_D = np.flatnonzero((frame.iou_GD[row] > min_iou) & (frame.ignored_D >= 0))
        if not len(near_D):
            continue
        is_open_TN = reaches_TD[:, near_D] & ~taken_TD[:, near_D]
        counts_N = frame.ignored_D[near_D] == 0
        iou_TN = np.where(is_open_TN & counts_N, frame.iou_GD[row, near_D], _NOT_THERE)
        has_counted_T = (iou_TN > _NOT_THERE).any(axis=1)
        choice_T = np.where(has_counted_T, iou_TN.argmax(axis=1), is_open_TN.argmax(axis=1))
        is_matched_T = is_open_TN.any(axis=1)
        taken_TD[rows[is_matched_T], near_D[choice_T[is_matched_T]]] = True
        if frame.ignored_G[row] == 0:
            hits_T += has_counted_T
    false_T = (reaches_TD & ~taken_TD & (frame.ignored_D == 0)).sum(axis=1)
    return hits_T, false_T
