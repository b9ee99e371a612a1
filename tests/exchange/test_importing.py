"""Import: files as public programs write them become backbones, and everything else is refused."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import replace
from hashlib import sha256

import pytest
import safetensors.torch
import torch

from exchange.conftest import LICENCE, NETWORKS
from olivine.artifacts import verify
from olivine.errors import DataError, UsageError
from olivine.exchange.importing import import_backbone
from olivine.exchange.layouts import LAYOUTS
from olivine.models.segmenter import Segmenter
from olivine.training.tensors import bytes_tensors

MINKUNET = NETWORKS["minkunet"]
CONFIG = {"cylindrical_coordinates": True, "voxel_size": 0.1, "num_epochs": 50, "losses": ["loss"], "resume_path": None}
FINAL = {"final.kernel": torch.ones(6, 64), "final.bias": torch.ones(1, 64)}


def slidr(tensors):
    """As SLidR's trainers save it, before and after fine-tuning alike."""
    images = OrderedDict({"encoder.conv1.weight": torch.ones(2), "decoder.1.bias": torch.ones(64)})
    points = OrderedDict({**tensors, **FINAL})
    return {"model_points": points, "model_images": images, "epoch": 50, "config": CONFIG}


def olivine(tensors):
    """As OLIVINE's trainer saves it: the whole module, its second head and its statistics among it."""
    state = {f"model_points.{name}": tensor for name, tensor in {**tensors, **FINAL}.items()}
    state |= {"model_points.final_class_level.kernel": torch.ones(6, 64), "model_images.encoder.w": torch.ones(2)}
    state |= {"vmf_distributions.0.mu": torch.full((64,), float("nan")), "vmf_distributions.0.kappa": torch.tensor(1.0)}
    return {"state_dict": OrderedDict(state), "epoch": 50, "config": CONFIG}


def lightning(tensors):
    """The framework's own checkpoint of such a run, which says no config."""
    rest = {"epoch": 49, "global_step": 87_900, "pytorch-lightning_version": "1.6.1", "callbacks": {}, "loops": None}
    return rest | {"state_dict": olivine(tensors)["state_dict"], "optimizer_states": [{"state": {}}]}


def depthcontrast(tensors):
    """Its trunks stand in a list and a data-parallel wrapper; loaders know it by its four keys."""
    model = {f"module.trunk.2.{name}": tensor for name, tensor in tensors.items()}
    model |= {"module.trunk.0.conv.weight": torch.ones(3)}
    return {"epoch": 10, "model": model, "optimizer": {"state": {}}, "train_criterion": {}}


def save(content, path):
    torch.save(content, path)
    return path


def tensors_of(artifact):
    return bytes_tensors(artifact.read("backbone.safetensors"), "")


def test_a_checkpoint_of_slidr(store, tmp_path, minkunet):
    network = MINKUNET
    path = save(slidr(minkunet), tmp_path / "model.pt")
    made = import_backbone(store, path, "slidr", f" {LICENCE} ", network)
    assert verify(made) == []
    found = tensors_of(made)
    assert found.keys() == minkunet.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in minkunet.items())
    manifest = made.manifest
    assert (manifest.stage, manifest.kind, manifest.inputs, manifest.licences) == (
        "pretrain",
        "backbone",
        {},
        (LICENCE,),
    )
    imported = manifest.recipe["imported"]
    assert (imported["layout"], imported["file"], imported["size_bytes"]) == ("slidr", "model.pt", path.stat().st_size)
    assert imported["sha256"] == sha256(path.read_bytes()).hexdigest()
    assert manifest.recipe["network"] == network.resolved()
    assert manifest.counts == {"tensors": len(minkunet), "left_out": 2, "filled_with_zero": 0}
    assert json.loads(made.read("import.json"))["left_out"] == ["final.kernel", "final.bias"]
    assert manifest.summary["weak_labels"] == "unknown: trained elsewhere"


@pytest.mark.parametrize(
    ("build", "layout", "left_out"),
    [
        (olivine, "olivine", 6),
        (olivine, "slidr", 6),
        (lightning, "olivine", 6),
        (depthcontrast, "slidr", 1),
        (dict, "slidr", 0),
    ],
)
def test_checkpoints_of_its_kin(store, tmp_path, minkunet, build, layout, left_out):
    path = save(build(minkunet), tmp_path / "model.pt")
    made = import_backbone(store, path, layout, LICENCE, MINKUNET)
    found = tensors_of(made)
    assert all(torch.equal(found[name], tensor) for name, tensor in minkunet.items())
    assert made.manifest.counts["left_out"] == left_out


def test_safetensors_without_counters(store, tmp_path, minkunet):
    kept = {name: tensor for name, tensor in minkunet.items() if "num_batches" not in name}
    safetensors.torch.save_file(kept, tmp_path / "a.safetensors")
    made = import_backbone(store, tmp_path / "a.safetensors", "slidr", LICENCE, MINKUNET)
    assert made.manifest.counts["filled_with_zero"] == len(minkunet) - len(kept)
    assert tensors_of(made).keys() == minkunet.keys()


def test_the_file_says_which_network_it_is(store, tmp_path, minkunet, monkeypatch):
    small = LAYOUTS["slidr"].reference["minkunet"] | {"widths": MINKUNET.widths, "blocks": MINKUNET.blocks}
    monkeypatch.setitem(LAYOUTS, "slidr", replace(LAYOUTS["slidr"], reference={"minkunet": small}))
    made = import_backbone(store, save(slidr(minkunet), tmp_path / "model.pt"), "slidr", LICENCE)
    assert made.manifest.recipe["network"] == MINKUNET.resolved()
    assert made.manifest.summary["imported"]["network_stated_by"] == "file"
    segmenter = Segmenter(MINKUNET, 0.02, 0)
    segmenter.backbone.load_state_dict(tensors_of(made), strict=True)


def test_again_without_work_and_what_makes_another(store, tmp_path, minkunet):
    path = save(slidr(minkunet), tmp_path / "model.pt")
    made = import_backbone(store, path, "slidr", LICENCE, MINKUNET)
    written = store.traffic.written_bytes
    assert import_backbone(store, path, "slidr", LICENCE, MINKUNET).manifest == made.manifest
    assert store.traffic.written_bytes == written
    others = [
        import_backbone(store, path, "olivine", LICENCE, MINKUNET),
        import_backbone(store, path, "slidr", "another licence", MINKUNET),
        import_backbone(store, path, "slidr", LICENCE, MINKUNET.model_copy(update={"intensity_scale": 0.5})),
        import_backbone(store, save(slidr(minkunet), tmp_path / "other.pt"), "slidr", LICENCE, MINKUNET),
    ]
    assert len({made.id, *(other.id for other in others)}) == 5
    assert {other.manifest.data_digest for other in others} == {made.manifest.data_digest}


@pytest.mark.parametrize("licence", ["", "  ", "x" * 1001])
def test_the_licence_must_be_stated(store, tmp_path, minkunet, licence):
    path = save(slidr(minkunet), tmp_path / "model.pt")
    with pytest.raises(UsageError, match="say under which licence the weights are"):
        import_backbone(store, path, "slidr", licence, MINKUNET)


def test_another_coordinate_system_is_refused(store, tmp_path, minkunet):
    path = save(slidr(minkunet), tmp_path / "model.pt")
    wanted = MINKUNET.model_copy(update={"coordinates": "cartesian", "voxel_size": (0.1, 0.1, 0.1)})
    with pytest.raises(UsageError, match="coordinates cylindrical instead of cartesian, voxel_size"):
        import_backbone(store, path, "slidr", LICENCE, wanted)


def test_a_file_that_does_not_say_its_voxels_needs_them(store, tmp_path, minkunet):
    path = save(depthcontrast(minkunet), tmp_path / "model.pt")
    with pytest.raises(UsageError, match="does not say which coordinates"):
        import_backbone(store, path, "slidr", LICENCE)


def test_what_differs_from_the_released_program_is_noted(store, tmp_path, minkunet):
    path = save(slidr(minkunet), tmp_path / "model.pt")
    wanted = MINKUNET.model_copy(update={"intensity_scale": 1 / 255})
    notes = import_backbone(store, path, "slidr", LICENCE, wanted).manifest.summary["notes"]
    assert len(notes) == 1
    assert "intensity_scale is 0.00392" in notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_points": {"layer1.0.weight": torch.ones(3)}, "config": CONFIG}, "holds weights of another architect"),
        ({"model_points": {}, "config": CONFIG}, r"holds no tensors where layout slidr keeps them \(model_points, "),
        ({"net": {"a": torch.ones(2)}}, "at its top: net. Choose another layout"),
        ([1, 2], "at its top: list"),
        (torch.ones(3), "at its top: Tensor"),
    ],
)
def test_files_without_this_backbone(store, tmp_path, content, message):
    path = save(content, tmp_path / "model.pt")
    with pytest.raises(DataError, match=message):
        import_backbone(store, path, "slidr", LICENCE, MINKUNET)
    assert list(store.list("pretrain")) == []


def test_weights_that_are_no_numbers(store, tmp_path, minkunet):
    minkunet["block8.0.conv1.kernel"][0, 0, 0] = float("nan")
    path = save(slidr(minkunet), tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"not finite \(block8.0.conv1.kernel\)"):
        import_backbone(store, path, "slidr", LICENCE, MINKUNET)


@pytest.mark.parametrize("licences", ["all mine", ["x" * 1001], ["\x1b[2J"], [3], ["x"] * 21])
def test_licences_that_a_file_states_must_be_readable(store, tmp_path, minkunet, licences):
    own = {"network": MINKUNET.resolved(), "licences": licences}
    path = save({"model_points": minkunet, "olivine": own}, tmp_path / "model.pt")
    with pytest.raises(DataError, match="its licences are no short list of short texts"):
        import_backbone(store, path, "slidr", LICENCE)
