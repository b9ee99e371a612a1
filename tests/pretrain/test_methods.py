"""Every method on the tiny chain: it trains, it changes what it should, and its history names its own terms."""

from __future__ import annotations

import json

import pytest
import torch
from chain import Chain, quietly

from olivine.errors import UsageError
from olivine.pretrain.distiller import Distiller
from olivine.recipes import METHODS, load_recipe
from olivine.steps import StepCall
from olivine.training.tensors import bytes_tensors

TERMS = {
    "pointcontrast": ["views"],
    "depthcontrast": ["momentum"],
    "ppkt": ["point_pixel"],
    "ppkt_strided": ["point_pixel"],
    "slidr": ["superpixel"],
    "st_slidr": ["superpixel"],
    "seal": ["superpixel", "temporal"],
    "scalr": ["regression"],
    "olivine": ["point_pixel", "category", "consistency"],
    "olivine_v1": ["point_pixel", "category", "consistency"],
    "olivine_plus": ["point_pixel", "category", "consistency"],
}


def run_method(chain: Chain, method: str, *settings: str):
    """Label, weigh and pretrain with one method's recipe; what an earlier method made is found."""
    inputs = {"drives": chain.made["ingest"].id}
    for word, port in (("label", "weak_labels"), ("weigh", "density_weights"), ("pretrain", "backbone")):
        given = [item for item in settings if item.startswith(word)]
        call = StepCall(chain.store.url, f"{method}@tiny_cpu", given, dict(inputs))
        made = quietly(word, call)
        inputs[port] = made.id
    return made


def test_all_methods_are_here():
    assert set(TERMS) | {"random"} == set(METHODS)


@pytest.mark.parametrize("method", TERMS)
def test_a_method_trains(chain, method):
    made = run_method(chain, method)
    history = json.loads(made.read("history.json"))
    assert set(history[0]) == {"step", "lr", "loss", *TERMS[method]}
    assert made.manifest.summary["method"] == method
    assert made.manifest.recipe["method"] == method
    whole = bytes_tensors(made.read("distiller.safetensors"), "distiller")
    recipe = load_recipe(f"{method}@tiny_cpu").pretrain
    start = Distiller(recipe, 13, made.manifest.summary["encoder"].get("channels", 0)).state_dict()
    assert start.keys() == whole.keys()
    learned = [name for name in start if name.endswith(("kernel", "weight", "bias"))]
    still = {name for name in learned if torch.equal(start[name], whole[name])}
    assert not still, "parameters that no gradient reached"


def test_random_has_no_pretraining(chain):
    with pytest.raises(UsageError, match="recipe 'random@tiny_cpu' has no pretrain: fine-tune without a backbone"):
        quietly("pretrain", StepCall(chain.store.url, "random@tiny_cpu"))


def test_superpixels_that_are_not_there_are_named(chain):
    call = chain.call("pretrain", "pretrain.superpixel.weight=1")
    with pytest.raises(Exception, match=r"the weak labels hold no superpixels: label with label\.superpixels="):
        quietly("pretrain", call)


def test_a_method_without_images_reads_none(chain):
    made = run_method(chain, "pointcontrast")
    assert made.manifest.summary["image_features"] is None
    assert made.manifest.summary["encoder"] == {}


def test_images_that_are_augmented_are_encoded_at_every_step(chain):
    made = run_method(chain, "ppkt", "pretrain.augment_images.enabled=true", "pretrain.augment_images.min_pairs=8")
    assert made.manifest.summary["image_features"] is None
    assert made.manifest.summary["encoder"]["encoder"] == "stand_in"


def test_hidden_pairs_are_counted(chain):
    made = run_method(chain, "olivine_plus")
    assert made.manifest.counts["hidden_pairs"] > 0


NETWORKS = {
    "voxelnet": {"kind": "voxelnet", "voxelnet": {"voxel_size": [0.8, 0.8, 0.32], "widths": [4, 4, 4, 4, 8]}},
    "waffleiron": {
        "kind": "waffleiron",
        "waffleiron": {"width": 8, "depth": 3, "cell_m": 2.0, "neighbours": 4, "voxel_m": 0.5, "max_points": 2000},
    },
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_other_backbones_are_pretrained_and_transferred(chain, kind):
    network = json.dumps(NETWORKS[kind])
    backbone = run_method(chain, "olivine", f"pretrain.network={network}")
    assert backbone.manifest.recipe["network"]["kind"] == kind
    inputs = {"drives": chain.made["ingest"].id, "backbone": backbone.id}
    settings = [f"finetune.network={network}", "finetune.curve_points=1"]
    segmenter = quietly("finetune", StepCall(chain.store.url, "tiny_cpu", settings, inputs))
    inputs = {"drives": chain.made["ingest"].id, "segmenter": segmenter.id}
    metrics = quietly("evaluate", StepCall(chain.store.url, "tiny_cpu", [], inputs))
    assert 0 < metrics.manifest.summary["miou"] < 1
    with pytest.raises(UsageError, match="was trained with another network: kind"):
        quietly("finetune", StepCall(chain.store.url, "tiny_cpu", [], {**inputs, "backbone": backbone.id}))
