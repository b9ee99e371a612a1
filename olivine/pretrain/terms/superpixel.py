"""Superpixel contrast: SLidR's loss, ST-SLidR's tolerant form of it, and the spatial term of Seal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from olivine.losses.superpixel import pool_segments, superpixel_info_nce
from olivine.losses.tolerant import tolerant_info_nce
from olivine.pretrain.batch import PretrainBatch, Segments
from olivine.pretrain.heads import Embeddings
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


@dataclass(frozen=True)
class _Pooled:
    """Means of the S segments that hold a point: of embedded points, embedded pixels and the teacher's own features."""

    points_SD: Tensor
    pixels_SD: Tensor
    teacher_SC: Tensor


class SuperpixelTerm(Term):
    """InfoNCE of superpixels: the mean of their points against the means of their pixels."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self._recipe, self._temperature = recipe.superpixel, recipe.temperature

    def forward(self, step: Step) -> Tensor:
        """The loss over all superpixels of this process's images that hold a point and a pixel."""
        pooled = self._pool(step.embeddings, step.batch)
        if self._recipe.tolerance == "off":
            return superpixel_info_nce(
                pooled.points_SD, pooled.pixels_SD, self._temperature, normalize=self._recipe.normalize
            )
        return tolerant_info_nce(
            pooled.points_SD,
            pooled.pixels_SD,
            pooled.teacher_SC,
            self._temperature,
            dropped_share=self._recipe.tolerated_share,
            similar_from=self._recipe.similar_from,
            dropped_form=self._recipe.tolerance,
        )

    def _pool(self, embeddings: Embeddings, batch: PretrainBatch) -> _Pooled:
        segments = batch.segments
        assert segments is not None
        points_SD, held_S = mean_of_points(embeddings, batch, segments)
        pixel_P3, segment_P = _pixels(segments, batch.image_size, self._recipe.pixel_stride)
        pixels_SD = _mean_of_pixels(embeddings, pixel_P3, segment_P, segments.num_segments)
        teacher_SC, seen_S = pool_segments(embeddings.teacher(pixel_P3), segment_P, segments.num_segments)
        # A small segment may have a point and none of the pixels that `pixel_stride` leaves.
        kept_S = (held_S > 0) & (seen_S > 0)
        return _Pooled(points_SD[kept_S], pixels_SD[kept_S], teacher_SC[kept_S])


def mean_of_points(embeddings: Embeddings, batch: PretrainBatch, segments: Segments) -> tuple[Tensor, Tensor]:
    """Mean embedded point [S, D] of each segment and how many pairs it holds [S]."""
    within_M = segments.pair_M >= 0
    points_ND = embeddings.all_points("point_pixel")[batch.pair_row_M[within_M]]
    return pool_segments(points_ND, segments.pair_M[within_M], segments.num_segments)


def _pixels(segments: Segments, image_size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor]:
    """Every n-th pixel of the superpixel maps, as (image, row, column) in the images, and its segment."""
    maps_IHW = segments.maps_IHW[:, ::stride, ::stride]
    segment_P = maps_IHW.flatten()
    grid = torch.meshgrid(*(torch.arange(size, device=maps_IHW.device) for size in maps_IHW.shape), indexing="ij")
    image_P, row_P, column_P = (axis.flatten() for axis in grid)
    scale = [side / full for side, full in zip(image_size, segments.maps_IHW.shape[1:], strict=True)]
    pixel_P3 = torch.stack([image_P, (row_P * stride * scale[0]).long(), (column_P * stride * scale[1]).long()], dim=1)
    return pixel_P3[segment_P >= 0], segment_P[segment_P >= 0]


def _mean_of_pixels(embeddings: Embeddings, pixel_P3: Tensor, segment_P: Tensor, num_segments: int) -> Tensor:
    """Mean embedded pixel [S, D] of each segment, image by image: the embeddings of all pixels never stand at once."""
    total_SD: Tensor | None = None
    for image in torch.unique(pixel_P3[:, 0]).tolist():
        mine_P = pixel_P3[:, 0] == image
        # Recomputed in the backward pass, or the maps of all images would be kept for it.
        part_SD = checkpoint(
            _sum_of_pixels, embeddings, pixel_P3[mine_P], segment_P[mine_P], num_segments, use_reentrant=False
        )
        total_SD = part_SD if total_SD is None else total_SD + part_SD
    if total_SD is None:
        points_ND = embeddings.all_points("point_pixel")
        return points_ND.new_zeros(num_segments, points_ND.shape[1])
    counts_S = torch.bincount(segment_P, minlength=num_segments)
    return total_SD / counts_S.clamp(min=1)[:, None]


def _sum_of_pixels(embeddings: Embeddings, pixel_P3: Tensor, segment_P: Tensor, num_segments: int) -> Tensor:
    mean_SD, counts_S = pool_segments(embeddings.pixels("point_pixel", pixel_P3), segment_P, num_segments)
    return mean_SD * counts_S[:, None]
