"""What every detector and every segmenter promises, so that the labeler need not know which one it holds. No torch.

Shapes: K boxes, H x W pixels of an image as it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""RGB [H, W, 3]."""


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image, best first. `box_K4` float32: left, top, right, bottom [pixels], within the image;

    `score_K` float32 0..1; `prompt_K` int64: index of the prompt that the box answers.
    """

    box_K4: NDArray[np.float32]
    score_K: NDArray[np.float32]
    prompt_K: NDArray[np.int64]


@dataclass(frozen=True)
class Masks:
    """One mask for each box: bool [K, H, W], and the segmenter's own estimate of their IoU, float32 [K]."""

    mask_KHW: NDArray[np.bool_]
    quality_K: NDArray[np.float32]


class Detector(Protocol):
    """Finds what its prompts name. The prompts are given once, when it is made, and encoded once."""

    def detect(self, images: list[Image]) -> list[Boxes]:
        """Boxes of each image; the images have one size. An image without any gives empty arrays.

        Raises:
            ConfigError: the network gives no numbers, or the device cannot hold a single image.
        """
        ...


class Segmenter(Protocol):
    """Cuts out what lies in boxes. An image is embedded once, however many boxes it has."""

    def embed(self, images: list[Image]) -> list[Any]:
        """One embedding an image, to be given back to `segment` with the image's size."""
        ...

    def segment(self, embedding: Any, size: tuple[int, int], box_K4: NDArray[np.float32]) -> Masks:
        """Masks of an image of `size` (height, width) for its boxes [pixels]."""
        ...


class AutomaticSegmenter(Protocol):
    """Finds segments by itself, without boxes and without classes."""

    def segments(self, image: Image) -> NDArray[np.int64]:
        """Segment of each pixel, int64 [H, W]; -1 where there is none. Smaller segments lie on larger ones."""
        ...
