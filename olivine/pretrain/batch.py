"""A batch of pretraining: what every term of the objective may read. B keyframes, R rows, M pairs, I = 6 B images."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from olivine.models.cloud import CloudBatch


@dataclass(frozen=True)
class Segments:
    """Superpixels of all images, numbered through. `pair_M` int64 segment of each pair and `maps_IHW` int64 segment of
    each pixel, -1 for none; the maps may be smaller than the images."""

    pair_M: Tensor
    maps_IHW: Tensor
    num_segments: int


@dataclass(frozen=True)
class SecondView:
    """The same clouds, augmented anew: row `first_K[k]` of the batch and `second_K[k]` of `clouds` hold one point."""

    clouds: CloudBatch
    first_K: Tensor
    second_K: Tensor


@dataclass(frozen=True)
class LaterSweep:
    """Later sweeps of the same scenes. Row `row_K[k]` of `clouds` lies in segment `segment_K[k]` of this batch."""

    clouds: CloudBatch
    row_K: Tensor
    segment_K: Tensor


@dataclass(frozen=True)
class PretrainBatch:
    """`pair_row_M` int64 rows of `clouds`; `pixel_M3` int64 (image in the batch, row, column) in images of `image_size`
    (height, width); `label_M` int64, 255 unlabelled; `weight_M` float64; `keys` a number for each
    keyframe, the same in every batch.

    `maps_ICHW` float32 are the teacher's features; `images_IHW3` uint8 stand in their place until the encoder has run.
    """

    clouds: CloudBatch
    pair_row_M: Tensor
    pixel_M3: Tensor
    label_M: Tensor
    weight_M: Tensor
    num_keyframes: int
    image_size: tuple[int, int]
    maps_ICHW: Tensor | None = None
    images_IHW3: Tensor | None = None
    segments: Segments | None = None
    view: SecondView | None = None
    later: LaterSweep | None = None
    keys: tuple[int, ...] = ()

    def to(self, device: torch.device) -> PretrainBatch:
        """The batch on a device."""
        return _to(self, device)  # type: ignore[no-any-return]


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor | CloudBatch):
        return value.to(device)
    if isinstance(value, PretrainBatch | Segments | SecondView | LaterSweep):
        return replace(value, **{field.name: _to(getattr(value, field.name), device) for field in fields(value)})
    return value
