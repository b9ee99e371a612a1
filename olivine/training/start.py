"""Start a network from a backbone that was trained before."""

from __future__ import annotations

from torch import nn

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.models.network_recipe import NetworkRecipe
from olivine.training.tensors import bytes_tensors

_MAY_DIFFER = ("backend", "intensity")
"""Parameters are interchangeable between backends; another sensor's intensities are converted to fit."""


def load_backbone(module: nn.Module, backbone: Artifact, wanted: NetworkRecipe, remedy: str) -> None:
    """Take the parameters and statistics of a `backbone` artifact into `module`, built by the recipe `wanted`.

    Raises:
        UsageError: it was trained with another network; `remedy` says what to do.
    """
    trained, resolved = backbone.manifest.recipe["network"], wanted.resolved()
    other = [name for name in resolved if name not in _MAY_DIFFER and trained.get(name) != resolved[name]]
    if other:
        raise UsageError(
            f"backbone {backbone.id[:12]} was trained with another network: "
            + ", ".join(f"{name} {trained.get(name)} instead of {resolved[name]}" for name in other)
            + f". {remedy}"
        )
    module.load_state_dict(bytes_tensors(backbone.read("backbone.safetensors"), "backbone"), strict=True)
