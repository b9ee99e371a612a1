"""Labelled keyframes as training batches."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olivine.drives import Drives
from olivine.finetune.recipe import FinetuneRecipe
from olivine.models.network import voxelize_points
from olivine.nuscenes_categories import NUM_CATEGORIES
from olivine.points.augment import rotate_flip
from olivine.points.voxelize import Voxels, majority_label

_CACHED_KEYFRAMES = 1024


@dataclass(frozen=True)
class LabelledBatch:
    """`coordinates_V4` int32, `features_V1` float32, `label_V` int64 with 0 for ignored."""

    coordinates_V4: Tensor
    features_V1: Tensor
    label_V: Tensor


class LabelledSamples:
    """Batches of the labelled fraction. Hand labels are read of the keyframes asked for, of no others."""

    def __init__(self, drives: Drives, recipe: FinetuneRecipe) -> None:
        self._drives, self._recipe = drives, recipe
        self._source = functools.lru_cache(maxsize=_CACHED_KEYFRAMES)(self._load)

    def batch(self, tokens: list[str], epoch: int) -> LabelledBatch:
        """The augmented batch of these keyframes in this epoch."""
        coordinates, features, labels = [], [], []
        for row, token in enumerate(tokens):
            points_N4, label_N = self._source(token)
            rng = np.random.default_rng((self._recipe.seed, epoch, int(token[:8], 16)))
            voxels = voxelize_points(rotate_flip(points_N4, rng), self._recipe.network)
            coordinates.append(np.insert(voxels.coordinates_V3, 0, row, axis=1))
            features.append(voxels.features_V1)
            labels.append(self._voxel_labels(label_N, voxels))
        return LabelledBatch(
            torch.from_numpy(np.concatenate(coordinates)),
            torch.from_numpy(np.concatenate(features)),
            torch.from_numpy(np.concatenate(labels).astype(np.int64)),
        )

    def _voxel_labels(self, label_N: NDArray[np.uint8], voxels: Voxels) -> NDArray[np.uint8]:
        if self._recipe.voxel_label == "first":
            first_V: NDArray[np.uint8] = label_N[voxels.first_V]
            return first_V
        return majority_label(label_N, voxels.inverse_N, NUM_CATEGORIES + 1)

    def _load(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        return self._drives.keyframe(token).points_N4, self._drives.lidarseg(token)
