"""A declared stand-in for a pretrained image encoder, for machines that have no weights.

Nothing here is learned and nothing comes from labels: colour and gradient statistics of each 16x16 cell, the mean
responses of fixed random filters, and the same smoothed over the neighbourhood. Every report that shows its results
shows `simulated_note`.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.nn import functional

from olivine.models.image.encoder import check_images, config_digest

STRIDE = 16
NUM_FILTERS = 22
FILTER_SIZE = 7
SEED = 20240522
CONTEXT_CELLS = 5
# Gradients and filter responses are about this much smaller than colours; heads learn faster on equal scales.
GRADIENT_GAIN = 8.0
FILTER_GAIN = 4.0


class StandInEncoder:
    """Hand-made features at stride 16: 32 statistics of the cell and 32 of its 5x5 neighbourhood."""

    name = "stand_in"
    weights_sha256: str | None = None
    stride = STRIDE
    channels = 2 * (3 + 3 + 4 + NUM_FILTERS)
    simulated_note: str | None = (
        "The image encoder is a stand-in: hand-made colour, gradient and random-filter features, nothing pretrained."
    )

    def __init__(self, device: torch.device) -> None:
        drawn = _draw_filters()
        self.digest = config_digest(
            {
                "name": self.name,
                "filters": hashlib.sha256(drawn.numpy().tobytes()).hexdigest(),
                "stride": STRIDE,
                "context_cells": CONTEXT_CELLS,
                "gains": [GRADIENT_GAIN, FILTER_GAIN],
            }
        )
        self._filters = _normalise(drawn.float()).to(device)

    def encode(self, images_BHW3: Tensor) -> Tensor:
        """As `ImageEncoder.encode`; 64 channels of order 1."""
        check_images(images_BHW3, STRIDE)
        with torch.no_grad():
            return torch.stack([self._encode_one(image_HW3) for image_HW3 in images_BHW3.unbind()])

    def _encode_one(self, image_HW3: Tensor) -> Tensor:
        image_13HW = image_HW3.to(self._filters.device).permute(2, 0, 1)[None].float() / 255
        cells = torch.cat(
            [_colour_statistics(image_13HW), _gradient_statistics(image_13HW), self._filter_statistics(image_13HW)], 1
        )
        context = functional.avg_pool2d(cells, CONTEXT_CELLS, 1, CONTEXT_CELLS // 2, count_include_pad=False)
        return torch.cat([cells, context], 1)[0]

    def _filter_statistics(self, image_13HW: Tensor) -> Tensor:
        padded = functional.pad(image_13HW, [FILTER_SIZE // 2] * 4, mode="replicate")
        responses = functional.conv2d(padded, self._filters, stride=2).relu()
        return functional.avg_pool2d(responses, STRIDE // 2) * FILTER_GAIN


def _draw_filters() -> Tensor:
    """Seeded filters, int64 [NUM_FILTERS, 3, size, size]: integers, since normal draws differ between processors."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randint(-8, 9, (NUM_FILTERS, 3, FILTER_SIZE, FILTER_SIZE), generator=generator)


def _normalise(filters: Tensor) -> Tensor:
    """Without response to a constant image, and of norm 1."""
    centred = filters - filters.mean(dim=(2, 3), keepdim=True)
    return centred / centred.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()


def _colour_statistics(image_13HW: Tensor) -> Tensor:
    """Mean and standard deviation of red, green and blue per cell: [1, 6, h, w]."""
    mean = functional.avg_pool2d(image_13HW, STRIDE)
    variance = functional.avg_pool2d(image_13HW.square(), STRIDE) - mean.square()
    return torch.cat([mean, variance.clamp_min(0).sqrt()], 1)


def _gradient_statistics(image_13HW: Tensor) -> Tensor:
    """Mean absolute grey-level difference per cell along the row, the column and both diagonals: [1, 4, h, w]."""
    grey = functional.pad(image_13HW.mean(1, keepdim=True), [0, 1, 0, 1], mode="replicate")
    here, right, below, across = grey[..., :-1, :-1], grey[..., :-1, 1:], grey[..., 1:, :-1], grey[..., 1:, 1:]
    steps = torch.cat([right - here, below - here, across - here, right - below], 1)
    return functional.avg_pool2d(steps.abs(), STRIDE) * GRADIENT_GAIN
