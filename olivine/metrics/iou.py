"""Intersection over union from a confusion matrix [target, prediction], as the nuScenes lidarseg evaluator defines it.

Category 0 is ignored: its row and column are set to zero first. A category that neither occurs nor is predicted has no
IoU (NaN) and is left out of the mean. Shapes: C categories.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def iou_per_category(counts_CC: NDArray[np.int64]) -> NDArray[np.float64]:
    """TP / (TP + FP + FN) of each category, float64 [C]; NaN for category 0 and for absent categories."""
    masked_CC = _without_ignored(counts_CC)
    hits_C = np.diagonal(masked_CC)
    union_C = masked_CC.sum(axis=0) + masked_CC.sum(axis=1) - hits_C
    # The official evaluator rounds the union to float32. So do we: beyond 2^24 points a category the exact quotient
    # would differ from the official number in the eighth digit.
    denominator_C = np.where(union_C > 0, union_C, np.nan).astype(np.float32)
    return np.asarray(hits_C / denominator_C.astype(np.float64))


def mean_iou(counts_CC: NDArray[np.int64]) -> float:
    """Mean over the categories that have an IoU; NaN when none has."""
    iou_C = iou_per_category(counts_CC)
    present_C = iou_C[~np.isnan(iou_C)]
    return float(present_C.mean()) if present_C.size else float("nan")


def frequency_weighted_iou(counts_CC: NDArray[np.int64]) -> float:
    """IoU weighted by each category's share of the target points; NaN when no point was scored."""
    points_C = _without_ignored(counts_CC).sum(axis=1)
    total = int(points_C.sum())
    return float(np.nansum(points_C * iou_per_category(counts_CC)) / total) if total else float("nan")


def _without_ignored(counts_CC: NDArray[np.int64]) -> NDArray[np.int64]:
    masked_CC = counts_CC.copy()
    masked_CC[0, :] = 0
    masked_CC[:, 0] = 0
    return masked_CC
