"""Predict whole keyframes: every point gets the category of its row (paper protocol, no test-time augmentation).

A point that the network does not see gets that of the nearest point in x, y, z that it sees, as WaffleIron's reference
code interpolates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from olivine.drives import Drives
from olivine.models.cloud import collate
from olivine.models.network import prepare_cloud
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.segmenter import Segmenter
from olivine.points.neighbours import fill_rows


def predict_keyframes(
    segmenter: Segmenter, drives: Drives, network: NetworkRecipe, tokens: Iterable[str]
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Token and categories uint8 [N], 1.., of each keyframe. The segmenter's mode is restored at the end.

    Raises DataError for a sweep of which the network sees no point.
    """
    was_training = segmenter.training
    segmenter.eval()
    try:
        for token in tokens:
            points_N4 = drives.keyframe(token).points_N4
            yield token, predict_points(segmenter, points_N4, network, f"keyframe {token}")
    finally:
        segmenter.train(was_training)


def predict_points(
    segmenter: Segmenter, points_N4: NDArray[np.float32], network: NetworkRecipe, where: str
) -> NDArray[np.uint8]:
    """Categories uint8 [N], 1.., of one sweep, by a segmenter in evaluation mode.

    Raises DataError, naming `where`, for a sweep of which the network sees no point.
    """
    cloud = prepare_cloud(points_N4, network)
    row_N = fill_rows(points_N4[:, :3], cloud.row_N, where)
    category_R = segmenter.predict(collate([cloud]).to(next(segmenter.parameters()).device))
    category_N: NDArray[np.uint8] = category_R.cpu().numpy()[row_N]
    return category_N
