"""A small backbone of every kind, and its artifact in a store, for the tests of import and export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from olivine.artifacts import Artifact, Output, begin
from olivine.models.minkunet import Head
from olivine.models.network import build_backbone
from olivine.models.network_recipe import NetworkRecipe, WaffleIronRecipe
from olivine.store import Store, open_store
from olivine.training.tensors import tensors_bytes

NETWORKS = {
    "minkunet": NetworkRecipe(
        voxel_feature="first", intensity_scale=1.0, widths=(4, 4, 4, 8, 8, 8, 8, 6, 6), blocks=(1,) * 8
    ),
    # The released one, which SLidR's layout alone can say; it is small.
    "voxelnet": NetworkRecipe(kind="voxelnet", intensity_scale=1.0),
    "waffleiron": NetworkRecipe(
        kind="waffleiron", waffleiron=WaffleIronRecipe(width=6, depth=4, field_of_view=((-6, -6, -5), (6, 6, 5)))
    ),
}
LICENCE = "CC BY-NC-SA 4.0 (nuScenes)"


def random_tensors(network: NetworkRecipe, seed: int = 0) -> dict[str, Tensor]:
    """Parameters and statistics of a backbone, none of them at its start value."""
    generator = torch.Generator().manual_seed(seed)
    tensors = build_backbone(network, 0.05, seed).state_dict()
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = torch.rand(tensor.shape, generator=generator) + 0.1
        else:
            tensors[name] = torch.tensor(7 + len(name))
    return dict(tensors)


def make_backbone(store: Store, network: NetworkRecipe, tensors: dict[str, Tensor], with_heads: bool) -> Artifact:
    """A `backbone` as pretraining publishes it, from inputs that are not there."""
    recipe = {"network": network.resolved(), "with_heads": with_heads}
    out = begin(store, "pretrain", "backbone", {}, recipe, 3)
    assert isinstance(out, Output)
    out.put("backbone.safetensors", tensors_bytes(tensors))
    if with_heads:
        width = build_backbone(network, 0.05, 0).out_channels
        heads = {"point_pixel": Head(width, 5), "semantic": Head(width, 5)}
        named = {
            f"heads.{name}.points.{key}": value
            for name, head in heads.items()
            for key, value in head.state_dict().items()
        }
        out.put("distiller.safetensors", tensors_bytes(named | {f"backbone.{key}": tensors[key] for key in tensors}))
    summary = {
        "method": "olivine",
        "loss": 1.0,
        "encoder": {"encoder": "mobilesam", "note": None},
        "weak_labels": "simulated",
    }
    return out.publish({"keyframes": 8, "steps": 4}, summary, (LICENCE,))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> NetworkRecipe:
    """The network of every backbone in turn."""
    return NETWORKS[request.param]


@pytest.fixture
def minkunet() -> dict[str, Tensor]:
    return random_tensors(NETWORKS["minkunet"])
