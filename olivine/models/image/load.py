"""From a recipe to a frozen image encoder."""

from __future__ import annotations

from typing import get_args

import torch

from olivine.errors import UsageError
from olivine.models.image.encoder import ImageEncoder
from olivine.models.image.families import EncoderName
from olivine.models.image.recipe import OWN_WEIGHTS, EncoderRecipe


def load_image_encoder(recipe: EncoderRecipe | str, *, device: torch.device | str = "cpu") -> ImageEncoder:
    """The encoder of a recipe, frozen and in evaluation mode, on `device`.

    A name alone does for the encoders with parameters of their own: `mobilesam` (pretrained; its weights come from
    `python -m olivine.models.image.fetch`) and `stand_in` (made by hand; needs no file).

    Raises:
        UsageError: an unknown name, or a recipe that names no weights.
        ConfigError: the weights cannot be read, or timm or torchvision is not installed.
        IntegrityError: the file is not the pinned one, or holds no plain tensors.
        DataError: its tensors are those of another network.
    """
    recipe, device = _as_recipe(recipe), torch.device(device)
    # Each is imported where it is chosen: the stand-in must work where neither timm nor torchvision is installed.
    if recipe.name == "stand_in":
        from olivine.models.image.stand_in import StandInEncoder

        return StandInEncoder(device)
    if recipe.name == "mobilesam":
        from olivine.models.image.mobilesam import load_mobilesam

        return load_mobilesam(device, recipe.precision)
    from olivine.models.image.trunk import load_trunk

    return load_trunk(recipe, device)


def _as_recipe(recipe: EncoderRecipe | str) -> EncoderRecipe:
    if isinstance(recipe, EncoderRecipe):
        return recipe
    if recipe not in OWN_WEIGHTS:
        others = ", ".join(name for name in get_args(EncoderName) if name not in OWN_WEIGHTS)
        raise UsageError(
            f"There is no image encoder {recipe!r} without further choices: name one of {', '.join(OWN_WEIGHTS)}, or "
            f"give a recipe with family and weights for one of {others}."
        )
    return EncoderRecipe.model_validate({"name": recipe})
