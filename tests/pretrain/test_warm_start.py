"""Pretraining that starts from an earlier backbone: what is taken, that it counts as an input, what is refused."""

from __future__ import annotations

import pytest
import torch
from chain import Chain, quietly

from olivine.artifacts import Artifact, verify
from olivine.errors import UsageError
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.stage import _first_backbone
from olivine.recipes import load_recipe
from olivine.report.trace import trace
from olivine.steps import StepCall
from olivine.training.tensors import bytes_tensors


def warm(chain: Chain, *settings: str) -> StepCall:
    call = chain.call("pretrain", *settings)
    call.inputs["start"] = chain.made["pretrain"].id
    return call


def parameters(backbone: Artifact) -> dict[str, torch.Tensor]:
    return bytes_tensors(backbone.read("backbone.safetensors"), "backbone")


def test_it_starts_where_the_other_ended_and_says_so(own_chain: Chain) -> None:
    first = own_chain.made["pretrain"]
    # A rate at which nothing moves: what comes out is what was put in.
    made = quietly("pretrain", warm(own_chain, "pretrain.optimizer.lr=1e-12", "pretrain.epochs=1"))
    kernel = "conv0p1s1.kernel"
    torch.testing.assert_close(parameters(made)[kernel], parameters(first)[kernel])
    assert made.manifest.inputs["start"] == first.manifest.input_ref()
    assert made.manifest.summary["start"] == first.id
    assert made.manifest.licences == first.manifest.licences
    assert verify(made) == []
    cold = own_chain.run("pretrain", "pretrain.optimizer.lr=1e-12", "pretrain.epochs=1")
    assert made.id != cold.id
    assert not torch.allclose(parameters(cold)[kernel], parameters(first)[kernel])
    assert "start" not in cold.manifest.summary

    own_chain.made["pretrain"] = made
    own_chain.made["finetune"] = own_chain.run("finetune")
    metrics = own_chain.run("evaluate")
    shown = [item.id for item in trace(own_chain.store, [metrics]).artifacts if item.manifest.kind == "backbone"]
    assert shown == [made.id], "the history of what it started from is no part of a comparison"


def test_a_backbone_of_another_network_is_refused(own_chain: Chain) -> None:
    with pytest.raises(UsageError, match=r"another network: voxel_size .* Start from random, or from a backbone of"):
        quietly("pretrain", warm(own_chain, "pretrain.network.voxel_size=[0.5,0.5,0.5]"))


def test_a_key_network_starts_there_too(chain: Chain) -> None:
    recipe = load_recipe("depthcontrast@tiny_cpu").pretrain
    assert recipe is not None
    start = _first_backbone(recipe, chain.made["pretrain"])
    distiller = Distiller(recipe, 13, 0, start)
    for name, tensor in parameters(chain.made["pretrain"]).items():
        for network in ("backbone", "terms.momentum.key_backbone"):
            assert torch.equal(distiller.state_dict()[f"{network}.{name}"], tensor), (network, name)
