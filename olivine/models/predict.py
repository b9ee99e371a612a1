"""Predict whole keyframes: every point gets the category of its voxel (paper protocol, no test-time augmentation)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from olivine.drives import Drives
from olivine.models.network import voxelize_points
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
            voxels = voxelize_points(drives.keyframe(token).points_N4, network)
            coordinates_V4 = torch.from_numpy(np.insert(voxels.coordinates_V3, 0, 0, axis=1)).to(device)
            category_V = segmenter.predict(coordinates_V4, torch.from_numpy(voxels.features_V1).to(device))
            yield token, category_V.cpu().numpy()[voxels.inverse_N]
    finally:
        segmenter.train(was_training)
