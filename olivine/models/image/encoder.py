"""What every frozen image encoder promises, so that the stages need not know which one they hold."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

import torch
from torch import Tensor

from olivine.errors import UsageError


class ImageEncoder(Protocol):
    """A frozen network (or a declared stand-in) that turns images into strided feature maps."""

    @property
    def name(self) -> str:
        """Which network with whose weights, shown wherever the encoder is reported."""

    @property
    def digest(self) -> str:
        """Sha256 (hex) of parameters and configuration: part of the identity of what is computed with it."""

    @property
    def weights_sha256(self) -> str | None:
        """Sha256 (hex) of its weights, by which lineage finds what they have reached; None where there are none."""

    @property
    def stride(self) -> int:
        """Pixels of the image per cell of the map, in both directions."""

    @property
    def channels(self) -> int:
        """Features per cell."""

    @property
    def simulated_note(self) -> str | None:
        """What is not real about it, in one sentence for reports; None for a real pretrained network."""

    def encode(self, images_BHW3: Tensor) -> Tensor:
        """Features of RGB images, uint8 [B, H, W, 3], as float32 [B, channels, H / stride, W / stride].

        On a processor images are taken one at a time: the features of an image are the same bits in every batch (and
        the same bits in every run with the same number of threads). A GPU takes several at once, and its last bits may
        depend on the batch. Nothing is kept for autograd; the result is an ordinary tensor on the encoder's device.

        Raises:
            UsageError: not uint8 [B, H, W, 3], an empty batch, or H or W no multiple of `stride`.
        """


def check_images(images_BHW3: Tensor, stride: int) -> None:
    """Refuse what `ImageEncoder.encode` cannot take (UsageError)."""
    shape = tuple(images_BHW3.shape)
    if images_BHW3.dtype != torch.uint8 or len(shape) != 4 or shape[3] != 3 or shape[0] == 0:
        raise UsageError(f"The image encoder takes uint8 images [B, H, W, 3], not {images_BHW3.dtype} {list(shape)}.")
    if min(shape[1:3]) == 0 or shape[1] % stride or shape[2] % stride:
        raise UsageError(
            f"Images of {shape[1]}x{shape[2]} pixels do not divide into cells of {stride}x{stride}: "
            f"choose an image size whose height and width are multiples of {stride}."
        )


def config_digest(config: dict[str, Any]) -> str:
    """Sha256 (hex) of a configuration, the same for the same values in any order."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
