"""From packed keyframes to a training batch: augment the cloud, voxelise, let the pairs follow, collate.

Nothing random is kept between samples: each draws from a generator seeded by (seed, epoch, keyframe), so a resumed run
and any number of processes see the same samples.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olivine.drives import Drives, Keyframe
from olivine.models.network import voxelize_points
from olivine.packs import Pack, bytes_array
from olivine.points.augment import drop_cuboid, remap_pairs, rotate_flip
from olivine.pretrain.recipe import PretrainRecipe

_CACHED_KEYFRAMES = 256
IGNORE_ID = 255


@dataclass(frozen=True)
class _Source:
    """What is stored of one keyframe."""

    keyframe: Keyframe
    label_M: NDArray[np.uint8]
    weight_M: NDArray[np.float32]
    maps_ICHW: NDArray[np.float16]


@dataclass(frozen=True)
class _Sample:
    """One augmented keyframe, before collation."""

    coordinates_V3: NDArray[np.int32]
    features_V1: NDArray[np.float32]
    pair_voxel_M: NDArray[np.int64]
    pixel_M3: NDArray[np.int16]
    label_M: NDArray[np.uint8]
    weight_M: NDArray[np.float32]
    maps_ICHW: NDArray[np.float16]


@dataclass(frozen=True)
class PretrainBatch:
    """B keyframes with V voxels, M pairs and I = 6 B images.

    `coordinates_V4` int32 (batch index, voxel); `features_V1` float32; `pair_voxel_M` int64; `pixel_M3` int64 (image in
    the batch, row, column); `label_M` int64, 255 unlabelled; `weight_M` float64; `maps_ICHW` float32.
    """

    coordinates_V4: Tensor
    features_V1: Tensor
    pair_voxel_M: Tensor
    pixel_M3: Tensor
    label_M: Tensor
    weight_M: Tensor
    maps_ICHW: Tensor

    @property
    def num_keyframes(self) -> int:
        """B."""
        return len(self.maps_ICHW) // 6

    def to(self, device: torch.device) -> PretrainBatch:
        """The batch on a device."""
        return PretrainBatch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class PretrainSamples:
    """Samples and batches by keyframe token."""

    def __init__(self, drives: Drives, weights: Pack, features: Pack, recipe: PretrainRecipe) -> None:
        self._drives, self._weights, self._features, self._recipe = drives, weights, features, recipe
        self._source = functools.lru_cache(maxsize=_CACHED_KEYFRAMES)(self._load)

    def batch(self, tokens: list[str], epoch: int) -> PretrainBatch:
        """The batch of these keyframes in this epoch."""
        samples = [self._sample(token, epoch) for token in tokens]
        first_voxel = np.cumsum([0] + [len(sample.coordinates_V3) for sample in samples])
        rows = range(len(samples))
        return PretrainBatch(
            coordinates_V4=_join(np.insert(samples[row].coordinates_V3, 0, row, axis=1) for row in rows),
            features_V1=_join(sample.features_V1 for sample in samples),
            pair_voxel_M=_join(samples[row].pair_voxel_M + first_voxel[row] for row in rows),
            pixel_M3=_join(samples[row].pixel_M3 + np.array([6 * row, 0, 0]) for row in rows),
            label_M=_join(sample.label_M.astype(np.int64) for sample in samples),
            weight_M=_join(sample.weight_M.astype(np.float64) for sample in samples),
            maps_ICHW=_join(sample.maps_ICHW for sample in samples).float(),
        )

    def _load(self, token: str) -> _Source:
        head = self._weights.head(token)
        return _Source(
            self._drives.keyframe(token),
            bytes_array(head["pair_label.npy"]),
            bytes_array(head["pair_weight.npy"]),
            bytes_array(self._features.head(token)["maps.npy"]),
        )

    def _sample(self, token: str, epoch: int) -> _Sample:
        source, recipe = self._source(token), self._recipe
        rng = np.random.default_rng((recipe.seed, epoch, int(token[:8], 16)))
        points_N4 = rotate_flip(source.keyframe.points_N4, rng)
        point_M, pixel_M3 = source.keyframe.pair_point_M, source.keyframe.pair_pixel_M3
        label_M, weight_M = source.label_M, source.weight_M
        keep_N = drop_cuboid(
            points_N4, point_M, pixel_M3[:, 0], rng, recipe.drop_cuboid_share, recipe.drop_cuboid_min_pairs
        )
        if keep_N is not None:
            keep_M, point_M = remap_pairs(point_M, keep_N)
            points_N4, pixel_M3 = points_N4[keep_N], pixel_M3[keep_M]
            label_M, weight_M = label_M[keep_M], weight_M[keep_M]
        voxels = voxelize_points(points_N4, recipe.network)
        pair_voxel_M = voxels.inverse_N[point_M]
        return _Sample(
            voxels.coordinates_V3, voxels.features_V1, pair_voxel_M, pixel_M3, label_M, weight_M, source.maps_ICHW
        )


def _join(arrays: Iterable[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(arrays)))
