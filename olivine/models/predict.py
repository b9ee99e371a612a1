"""Predict whole keyframes: every point gets the category of its row (paper protocol, no test-time augmentation)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from olivine.drives import Drives
from olivine.models.cloud import collate
from olivine.models.network import prepare_cloud
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.segmenter import Segmenter


def predict_keyframes(
    segmenter: Segmenter, drives: Drives, network: NetworkRecipe, tokens: Iterable[str]
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Token and categories uint8 [N], 1..16, of each keyframe. The segmenter's mode is restored at the end."""
    device = next(segmenter.parameters()).device
    was_training = segmenter.training
    segmenter.eval()
    try:
        for token in tokens:
            cloud = prepare_cloud(drives.keyframe(token).points_N4, network)
            category_R = segmenter.predict(collate([cloud]).to(device))
            yield token, category_R.cpu().numpy()[cloud.row_N]
    finally:
        segmenter.train(was_training)
