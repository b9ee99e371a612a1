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
from olivine.models.cloud import Cloud, CloudBatch, collate, first_point
from olivine.models.network import prepare_cloud
from olivine.points.augment import rotate_flip
from olivine.points.voxelize import majority_label

_CACHED_KEYFRAMES = 1024


@dataclass(frozen=True)
class LabelledBatch:
    """`clouds` and `label_R` int64 of their rows, 0 for ignored."""

    clouds: CloudBatch
    label_R: Tensor


class LabelledSamples:
    """Batches of the labelled fraction. Hand labels are read of the keyframes asked for, of no others."""

    def __init__(self, drives: Drives, recipe: FinetuneRecipe) -> None:
        self._drives, self._recipe = drives, recipe
        self._source = functools.lru_cache(maxsize=_CACHED_KEYFRAMES)(self._load)

    def batch(self, tokens: list[str], epoch: int | None) -> LabelledBatch:
        """The batch of these keyframes, augmented as in this epoch; None for no augmentation."""
        clouds, labels = [], []
        for token in tokens:
            points_N4, label_N = self._source(token)
            rng = None
            if epoch is not None:
                rng = np.random.default_rng((self._recipe.seed, epoch, int(token[:8], 16)))
                points_N4 = rotate_flip(points_N4, rng)
            clouds.append(prepare_cloud(points_N4, self._recipe.network, rng))
            labels.append(self._row_labels(label_N, clouds[-1]))
        return LabelledBatch(collate(clouds), torch.from_numpy(np.concatenate(labels).astype(np.int64)))

    def _row_labels(self, label_N: NDArray[np.uint8], cloud: Cloud) -> NDArray[np.uint8]:
        if self._recipe.voxel_label == "first":
            first_R: NDArray[np.uint8] = label_N[first_point(cloud.row_N, cloud.num_rows)]
            return first_R
        seen_N = cloud.row_N >= 0
        return majority_label(label_N[seen_N], cloud.row_N[seen_N], self._drives.num_ids)

    def _load(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        return self._drives.keyframe(token).points_N4, self._drives.lidarseg(token)
