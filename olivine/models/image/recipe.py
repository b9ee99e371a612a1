"""Recipe of the frozen image encoder (paper section 3.1; released configuration: dilated ResNet-50 of MoCo v2)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from olivine.models.image.families import FAMILIES, RESNET_STRIDES, EncoderName, FamilyName
from olivine.models.weights_path import weights_path
from olivine.recipe import StageRecipe

OWN_WEIGHTS = ("mobilesam", "stand_in")
"""Encoders whose parameters are not chosen: MobileSAM's are pinned, the stand-in's are part of its code."""
OWN_STRIDE = 16
RANDOM = "random"


class EncoderRecipe(StageRecipe):
    """The frozen image encoder, whose weights it carries, and the images it sees."""

    name: EncoderName = "mobilesam"
    """`resnet50`: dilated, a cell of 4 pixels, 2048 channels (the paper's). `resnet50_strided`: as ImageNet has it, a
    cell of 32 pixels (PPKT's own). `vit_small`, `vit_base`, `vit_large`: patch tokens of 384, 768, 1024 channels.
    `mobilesam`: MobileSAM's image encoder, real weights. `stand_in`: hand-made, learns nothing, and is named so."""

    family: FamilyName | None = None
    """Whose weights a ResNet or ViT carries: decides patch size, normalisation and the names of tensors. `imagenet`:
    torchvision's classifier. `augreg`: timm's ViT/16 classifiers. `dino`, `dinov2`, `dinov3` (web images): Meta's own
    files or timm's; `dino_patch8` and `dinov2_registers` are their variants. None for the other encoders."""

    weights: str | None = None
    """Path, file:/// URI, or s3:// below OLIVINE_WEIGHTS, of a ResNet's or ViT's weights: .safetensors, or whatever
    torch.load reads without running code. `random` for parameters that learned nothing, which every report then says.
    Nothing is fetched from a hub."""

    weights_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Sha256 (hex) that the file of weights must have."""

    height: int = Field(288, ge=16)
    """Height [pixels] to which images are resized before encoding: a multiple of `stride`."""

    width: int = Field(512, ge=16)
    """Width [pixels] likewise."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """`bf16` and `fp16` compute convolutions and products in 16 bits: faster where the processor has it, with other
    features (bf16: about 1 % off; fp16 less, within a smaller range), hence another digest. `stand_in` ignores it."""

    @property
    def stride(self) -> int:
        """Pixels of the image per cell of the encoder's map."""
        if self.family is None:
            return OWN_STRIDE
        return RESNET_STRIDES.get(self.name, FAMILIES[self.family].patch_size)

    @property
    def weights_path(self) -> Path | None:
        """The file of weights; None where there is none."""
        if self.weights is None or self.weights == RANDOM:
            return None
        return weights_path(self.weights, self.weights_sha256)

    @model_validator(mode="after")
    def _check_family(self) -> Self:
        if self.name in OWN_WEIGHTS:
            if (self.family, self.weights, self.weights_sha256) != (None, None, None):
                raise ValueError(f"{self.name} has parameters of its own: leave out family, weights, weights_sha256")
            return self
        known = [family for family, facts in FAMILIES.items() if self.name in facts.encoders]
        if self.family not in known:
            raise ValueError(f"{self.name} needs a family, one of {', '.join(known)}, not {self.family}")
        return self

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if (self.weights_path is None) != (self.weights_sha256 is None):
            raise ValueError("a file of weights and weights_sha256 go together: give both or neither")
        return self

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.height % self.stride or self.width % self.stride:
            near = " x ".join(
                str(max(1, round(side / self.stride)) * self.stride) for side in (self.height, self.width)
            )
            raise ValueError(
                f"{self.name} has cells of {self.stride} pixels, which do not divide {self.height} x {self.width}: "
                f"choose multiples of {self.stride}, such as {near}"
            )
        return self
