"""Count which category was predicted for which: the one thing that every IoU is made from.

Shapes: N points, C categories with 0 = ignore; matrices are [target, prediction].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError


class Confusion:
    """An int64 confusion matrix that grows sweep by sweep, so that no labels need to be kept.

    `counts_CC` is the sum so far, unmasked; two of them may be added to join the work of several processes.
    Predictions begin at `lowest_prediction`: the nuScenes evaluator forbids the ignored category 0, SemanticKITTI's
    takes it and counts a miss.
    """

    def __init__(self, num_categories: int, lowest_prediction: int = 1) -> None:
        self.num_categories, self._lowest_prediction = num_categories, lowest_prediction
        self.counts_CC = np.zeros((num_categories, num_categories), np.int64)

    def add(self, target_N: NDArray[Any], prediction_N: NDArray[Any], where: str = "arrays") -> None:
        """Count one sweep of integer labels: targets 0..C-1, predictions `lowest_prediction`..C-1.

        Raises DataError, naming `where`, for other values or two lengths. A forbidden category 0 is forbidden even on
        points whose target is ignored, as it is in the official evaluator.
        """
        if target_N.shape != prediction_N.shape or target_N.ndim != 1:
            raise DataError(
                f"{where}: {prediction_N.size} predictions for {target_N.size} points: predict every point of the sweep"
            )
        if target_N.size == 0:
            return
        self._check(target_N, 0, f"{where}: target")
        self._check(prediction_N, self._lowest_prediction, f"{where}: prediction")
        # uint16 holds C * C for any table of categories in use (255 at most) and halves the traffic of int64 twice.
        slots_N = target_N.astype(np.uint16) * np.uint16(self.num_categories) + prediction_N.astype(np.uint16)
        counts = np.bincount(slots_N, minlength=self.num_categories**2)
        self.counts_CC += counts.reshape(self.num_categories, self.num_categories)

    def _check(self, labels_N: NDArray[Any], lowest: int, what: str) -> None:
        if not np.issubdtype(labels_N.dtype, np.integer):
            raise DataError(f"{what} labels are {labels_N.dtype}, not integers: give class ids, not scores")
        low, high = int(labels_N.min()), int(labels_N.max())
        if low < lowest or high >= self.num_categories:
            found = low if low < lowest else high
            raise DataError(f"{what} {found} is outside {lowest}..{self.num_categories - 1}: map the labels to classes")
