"""The network of a `segmenter` artifact, on the device that there is."""

from __future__ import annotations

import torch

from olivine.artifacts import Artifact
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.segmenter import Segmenter
from olivine.training.tensors import bytes_tensors


def load_segmenter(artifact: Artifact) -> tuple[Segmenter, NetworkRecipe]:
    """The segmenter with its parameters, on the GPU where there is one, and the recipe of its network."""
    network = NetworkRecipe.model_validate(artifact.manifest.recipe["network"])
    segmenter = Segmenter(network, artifact.manifest.recipe["bn_momentum"], seed=0)
    segmenter.load_state_dict(bytes_tensors(artifact.read("segmenter.safetensors"), "segmenter"), strict=True)
    return segmenter.to("cuda" if torch.cuda.is_available() else "cpu"), network
