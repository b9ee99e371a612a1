"""The network of a `segmenter` artifact, on the device that there is."""

from __future__ import annotations

import torch

from olivine.artifacts import Artifact
from olivine.drives.classes import class_names, intensity_max
from olivine.errors import UsageError
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.segmenter import Segmenter
from olivine.training.tensors import bytes_tensors


def load_segmenter(artifact: Artifact) -> tuple[Segmenter, NetworkRecipe]:
    """The segmenter with its parameters, on the GPU where there is one, and the recipe of its network."""
    network = NetworkRecipe.model_validate(artifact.manifest.recipe["network"])
    segmenter = Segmenter(network, artifact.manifest.recipe["bn_momentum"], 0, len(class_names(artifact.manifest)) + 1)
    segmenter.load_state_dict(bytes_tensors(artifact.read("segmenter.safetensors"), "segmenter"), strict=True)
    return segmenter.to("cuda" if torch.cuda.is_available() else "cpu"), network


def require_fit(segmenter: Artifact, drives: Artifact) -> None:
    """Refuse to predict drives that are labelled or measured otherwise than those that the segmenter was trained on.

    Raises:
        UsageError: other classes, or a sensor with another range of intensities.
    """
    ours, theirs = class_names(segmenter.manifest), class_names(drives.manifest)
    if ours != theirs:
        differing = next((name for name in (*ours, *theirs) if (name in ours) != (name in theirs)), "their order")
        raise UsageError(
            f"segmenter {segmenter.id[:12]} was trained on other classes than those of drives {drives.id[:12]} "
            f"({len(ours)} and {len(theirs)}; {differing} is one difference). Fine-tune on drives of this data set."
        )
    if intensity_max(segmenter.manifest) != intensity_max(drives.manifest):
        raise UsageError(
            f"segmenter {segmenter.id[:12]} was trained on intensities up to {intensity_max(segmenter.manifest)}, and "
            f"those of drives {drives.id[:12]} go up to {intensity_max(drives.manifest)}. Fine-tune on drives of this "
            "data set."
        )
