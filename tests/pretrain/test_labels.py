"""Labels as the recipe wants them, and weights that a batch estimates by itself."""

from __future__ import annotations

import numpy as np

from olivine.pretrain.labels import batch_weights, num_categories, resolve_labels
from olivine.pretrain.recipe import PretrainRecipe

LABEL = np.array([0, 3, 255, 12], np.uint8)
CONFIDENCE = np.array([200, 90, 0, 128], np.uint8)


def test_unsure_labels_become_unlabelled():
    recipe = PretrainRecipe(min_confidence=128)
    assert resolve_labels(LABEL, CONFIDENCE, 13, recipe).tolist() == [0, 255, 255, 12]
    assert resolve_labels(LABEL, None, 13, PretrainRecipe()).tolist() == LABEL.tolist()


def test_unlabelled_can_be_a_category_as_in_the_reference():
    recipe = PretrainRecipe(unlabelled="category", min_confidence=128)
    assert resolve_labels(LABEL, CONFIDENCE, 13, recipe).tolist() == [0, 13, 13, 12]
    assert (num_categories(13, recipe), num_categories(13, PretrainRecipe())) == (14, 13)


def test_batch_weights_are_one_over_density_and_count():
    radial_M = np.array([10, 10, 10, 500, 500, 300])
    label_M = np.array([1, 1, 2, 2, 255, 2], np.uint8)
    weight_M = batch_weights(radial_M, label_M, PretrainRecipe(sampling="batch"))
    assert weight_M[4] == 0
    assert weight_M[3] > weight_M[2], "the far pair is the likelier one"
    assert weight_M[0] > weight_M[2], "and so is the one of the rarer category"
    assert np.isclose(weight_M.sum(), 1)
    uniform_M = batch_weights(radial_M, label_M, PretrainRecipe(sampling="batch", sampling_variant="uniform"))
    assert np.allclose(uniform_M, [0.2, 0.2, 0.2, 0.2, 0, 0.2])
