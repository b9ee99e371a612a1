"""What the weak labels of a batch say to the terms that read them, and the weights by which its pairs are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.points.density import estimate_density
from olivine.points.frequency import category_frequency, look_up_frequency, sampling_weights
from olivine.pretrain.recipe import PretrainRecipe

IGNORED = 255
"""Label of a pair that no label-reading term counts."""


def resolve_labels(
    label_M: NDArray[np.uint8], confidence_M: NDArray[np.uint8] | None, num_classes: int, recipe: PretrainRecipe
) -> NDArray[np.uint8]:
    """Weak labels as the recipe wants them: unsure ones unlabelled, unlabelled ones ignored or a category of their own.

    `confidence_M` may be left out where `min_confidence` is 0.
    """
    if confidence_M is not None and recipe.min_confidence:
        label_M = np.where(confidence_M < recipe.min_confidence, np.uint8(IGNORED), label_M)
    if recipe.unlabelled == "category":
        label_M = np.where(label_M == IGNORED, np.uint8(num_classes), label_M)
    return label_M


def batch_weights(
    radial_M: NDArray[np.integer[Any]], label_M: NDArray[np.uint8], recipe: PretrainRecipe
) -> NDArray[np.float64]:
    """Sampling weights estimated from the pairs of one batch (paper section 3.4), as the reference code does."""
    count_M = look_up_frequency(label_M, category_frequency(label_M, IGNORED, IGNORED))
    return sampling_weights(estimate_density(radial_M), count_M, recipe.sampling_variant)


def num_categories(num_classes: int, recipe: PretrainRecipe) -> int:
    """Categories that the statistics hold: those of the class list, and one more where unlabelled is one."""
    return num_classes + (recipe.unlabelled == "category")
