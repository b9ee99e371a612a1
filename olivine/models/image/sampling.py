"""Bilinear sampling of strided feature maps at full-resolution pixels.

A 1x1 convolution commutes with bilinear upsampling, so a head need only be applied to the sampled features: the same
values as in the reference code, which upsamples whole maps (align_corners=True) to read a few thousand pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.errors import DataError


def sample_features(feature_map_CHW: Tensor, rows_M: Tensor, cols_M: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Features [M, C] (float32) of one map [C, h, w] at pixels of the image it was made from.

    Args:
        feature_map_CHW: any float dtype; the interpolation is done in float32.
        rows_M: pixel rows, 0 .. H - 1, integers or floats.
        cols_M: pixel columns, 0 .. W - 1.
        image_size: (H, W) of that image.

    Pixel p of H reads the map at p * (h - 1) / (H - 1): the convention of `interpolate(..., align_corners=True)`.
    Differentiable with respect to the map.

    Raises:
        DataError: a pixel lies outside the image.
    """
    return _gather(feature_map_CHW[None], torch.zeros_like(rows_M, dtype=torch.long), rows_M, cols_M, image_size)


def sample_maps(maps_ICHW: Tensor, pixels_M3: Tensor, image_size: tuple[int, int]) -> Tensor:
    """As `sample_features`, for I images at once: pixels are (image index, row, column); result [M, C] float32.

    Raises:
        DataError: a pixel lies outside its image, or names an image that is not there.
    """
    image_M, rows_M, cols_M = pixels_M3.unbind(1)
    return _gather(maps_ICHW, image_M.long(), rows_M, cols_M, image_size)


def _gather(maps_ICHW: Tensor, image_M: Tensor, rows_M: Tensor, cols_M: Tensor, image_size: tuple[int, int]) -> Tensor:
    _check_range("image", image_M, maps_ICHW.shape[0])
    top_M, bottom_M, down_M = _neighbours("row", rows_M, image_size[0], maps_ICHW.shape[2])
    left_M, right_M, along_M = _neighbours("column", cols_M, image_size[1], maps_ICHW.shape[3])
    maps_IHWC = maps_ICHW.permute(0, 2, 3, 1)

    def row(index_M: Tensor) -> Tensor:
        near_MC, far_MC = maps_IHWC[image_M, index_M, left_M], maps_IHWC[image_M, index_M, right_M]
        return torch.lerp(near_MC.float(), far_MC.float(), along_M[:, None])

    return torch.lerp(row(top_M), row(bottom_M), down_M[:, None])


def _neighbours(axis: str, position_M: Tensor, pixels: int, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two cells around each pixel and the fraction of the way from the first to the second."""
    _check_range(axis, position_M, pixels)
    scaled_M = position_M.float() * ((cells - 1) / max(pixels - 1, 1))
    first_M = scaled_M.floor().long().clamp_(max=cells - 1)
    return first_M, (first_M + 1).clamp_(max=cells - 1), scaled_M - first_M


def _check_range(axis: str, position_M: Tensor, size: int) -> None:
    if not position_M.numel():
        return
    low, high = (float(bound) for bound in torch.aminmax(position_M))
    # A negative index would wrap around without a word. Written so that NaN is refused too.
    if not (low >= 0 and high <= size - 1):
        raise DataError(f"Pixels lie outside the image: {axis} {low:g} .. {high:g}, allowed 0 .. {size - 1}.")
