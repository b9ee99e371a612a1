"""From recipes to a detector and a segmenter, with their weights verified."""

from __future__ import annotations

import torch

from olivine.errors import UsageError
from olivine.models.vfm.automatic import AutomaticMasks
from olivine.models.vfm.device import choose_device
from olivine.models.vfm.grounding_dino import DetectorNetwork, GroundingDino
from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.models.vfm.sam import Sam, SegmenterNetwork
from olivine.models.vfm.seam import AutomaticSegmenter, Detector, Segmenter
from olivine.models.vfm.weights import verify, verify_weights


def load_detector(recipe: DetectorRecipe, prompts: list[str], device: str, batch: int) -> Detector:
    """The detector of a recipe, for these prompts; `batch` images at once on a GPU.

    Raises:
        UsageError: no weights named, no or unknown prompts, no such device. ConfigError: weights or a library that
            are not there. IntegrityError: other weights than the recipe's. DataError: those of another model.
    """
    chosen = choose_device(device)
    return GroundingDino(_detector_network(recipe, chosen), prompts, recipe, chosen, batch)


def _detector_network(recipe: DetectorRecipe, device: torch.device) -> DetectorNetwork:
    path = verify_weights(recipe, "detector")
    if recipe.backend == "original":
        from olivine.models.vfm import grounding_dino_original

        if recipe.text_encoder is None or recipe.text_encoder_sha256 is None or recipe.sha256 is None:
            raise UsageError("label.detector.backend=original needs label.detector.text_encoder: a folder of BERT.")
        bert = verify(recipe.text_encoder, recipe.text_encoder_sha256, "label.detector.text_encoder_sha256")
        return grounding_dino_original.load(path, recipe.sha256, bert, device)
    from olivine.models.vfm import grounding_dino_transformers

    return grounding_dino_transformers.load(path, device)


def load_segmenter(recipe: SegmenterRecipe, device: str, batch: int) -> Segmenter:
    """The segmenter of a recipe (errors: as `load_detector`)."""
    chosen = choose_device(device)
    return Sam(_segmenter_network(recipe, chosen), recipe, chosen, batch)


def load_automatic(recipe: SegmenterRecipe, device: str) -> AutomaticSegmenter:
    """The segmenter of a recipe, for masks without boxes (errors: as `load_detector`)."""
    chosen = choose_device(device)
    return AutomaticMasks(Sam(_segmenter_network(recipe, chosen), recipe, chosen, 1), recipe)


def _segmenter_network(recipe: SegmenterRecipe, device: torch.device) -> SegmenterNetwork:
    if recipe.name == "mobile_sam":
        from olivine.models.vfm import sam_original

        return sam_original.load_mobile_sam(device)
    path = verify_weights(recipe, "segmenter")
    if recipe.backend == "original":
        from olivine.models.vfm import sam_original

        assert recipe.sha256 is not None
        return sam_original.load(path, recipe.sha256, device)
    from olivine.models.vfm import sam_transformers

    return sam_transformers.load(recipe.name, path, device)
