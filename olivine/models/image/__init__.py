"""Frozen image encoders (the teacher's image branch, paper section 3.1) and the sampling of their maps at pixels.

Names are loaded when they are asked for: reading `olivine.models.image.recipe` must not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from olivine.models.image.encoder import ImageEncoder
    from olivine.models.image.load import load_image_encoder
    from olivine.models.image.recipe import EncoderRecipe
    from olivine.models.image.sampling import sample_features, sample_maps
else:
    _HOMES = {
        "EncoderRecipe": "recipe",
        "ImageEncoder": "encoder",
        "load_image_encoder": "load",
        "sample_features": "sampling",
        "sample_maps": "sampling",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["EncoderRecipe", "ImageEncoder", "load_image_encoder", "sample_features", "sample_maps"]
