"""Whose weights an image encoder can carry, and what that fixes: patch size and normalisation. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EncoderName = Literal["mobilesam", "stand_in", "resnet50", "resnet50_strided", "vit_small", "vit_base", "vit_large"]
FamilyName = Literal[
    "imagenet", "moco_v2", "swav", "dino", "dino_patch8", "augreg", "dinov2", "dinov2_registers", "dinov3"
]
Colour = tuple[float, float, float]
"""Red, green, blue, on the scale 0 .. 255."""

IMAGENET_MEAN: Colour = (123.675, 116.28, 103.53)
IMAGENET_STD: Colour = (58.395, 57.12, 57.375)
SWAV_STD: Colour = (58.14, 57.12, 57.375)
"""SwAV's code divides red by 0.228, where all others have 0.229."""
HALF: Colour = (127.5, 127.5, 127.5)

RESNET_STRIDES = {"resnet50": 4, "resnet50_strided": 32}
"""`resnet50`: layers 2 to 4 are dilated instead of strided."""
RESNET_CHANNELS = 2048
VIT_CHANNELS = {"vit_small": 384, "vit_base": 768, "vit_large": 1024}


@dataclass(frozen=True)
class Family:
    """One origin of weights."""

    encoders: tuple[str, ...]
    """Encoders that such weights exist for."""

    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    """Normalisation that the weights were trained with."""

    patch_size: int = 0
    """Pixels along a patch of the family's ViTs; 0 where it has none."""


FAMILIES: dict[str, Family] = {
    "imagenet": Family(tuple(RESNET_STRIDES)),
    "moco_v2": Family(tuple(RESNET_STRIDES)),
    "swav": Family(tuple(RESNET_STRIDES), std=SWAV_STD),
    "dino": Family((*RESNET_STRIDES, "vit_small", "vit_base"), patch_size=16),
    "dino_patch8": Family(("vit_small", "vit_base"), patch_size=8),
    "augreg": Family(tuple(VIT_CHANNELS), mean=HALF, std=HALF, patch_size=16),
    "dinov2": Family(tuple(VIT_CHANNELS), patch_size=14),
    "dinov2_registers": Family(tuple(VIT_CHANNELS), patch_size=14),
    "dinov3": Family(tuple(VIT_CHANNELS), patch_size=16),
}
