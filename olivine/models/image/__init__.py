"""Frozen image encoders (the teacher's image branch, paper section 3.1) and the sampling of their maps at pixels."""

from __future__ import annotations

import torch

from olivine.errors import UsageError
from olivine.models.image.encoder import ImageEncoder
from olivine.models.image.sampling import sample_features, sample_maps

IMAGE_ENCODERS = ("mobilesam", "stand_in")

__all__ = ["IMAGE_ENCODERS", "ImageEncoder", "load_image_encoder", "sample_features", "sample_maps"]


def load_image_encoder(name: str, *, device: torch.device | str = "cpu", bf16: bool = False) -> ImageEncoder:
    """The encoder of that name, frozen and in evaluation mode, on `device`.

    `mobilesam` is real and pretrained; its weights come from `python -m olivine.models.image.fetch`. `stand_in` is
    made by hand, learns nothing and needs no file. `bf16` computes convolutions and products in bfloat16: faster
    where the processor has it, with other features (about 1 % off), hence another digest. `stand_in` ignores it.

    Raises:
        UsageError: an unknown name.
        ConfigError: the weights are not in the cache, or timm is not installed.
        IntegrityError: the cached weights are not the pinned ones.
    """
    if name == "mobilesam":
        # Imported here: the stand-in must work where timm is not installed.
        from olivine.models.image.mobilesam import load_mobilesam

        return load_mobilesam(torch.device(device), bf16=bf16)
    if name == "stand_in":
        from olivine.models.image.stand_in import StandInEncoder

        return StandInEncoder(torch.device(device))
    raise UsageError(f"There is no image encoder {name!r}; choose one of {', '.join(IMAGE_ENCODERS)}.")
