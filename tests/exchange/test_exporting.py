"""Export: every layout there and back to the bit, readable by the loaders of the programs it is for, and honest."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from exchange.conftest import LICENCE, NETWORKS, make_backbone, random_tensors
from olivine.artifacts import begin, verify
from olivine.errors import DataError, IntegrityError, UsageError
from olivine.exchange.exporting import export_backbone
from olivine.exchange.importing import import_backbone
from olivine.exchange.layouts import LAYOUTS
from olivine.exchange.provenance import describe_origin, recipe_name
from olivine.recipes import load_recipe

ROWS = [(layout.name, backbone) for layout in LAYOUTS.values() for backbone in layout.rules]


@pytest.fixture
def make(store):
    def make(backbone="minkunet", with_heads=True):
        network = NETWORKS[backbone]
        return make_backbone(store, network, random_tensors(network), with_heads)

    return make


@pytest.mark.parametrize(("layout", "backbone"), ROWS)
@pytest.mark.parametrize("with_heads", [True, False])
def test_there_and_back_is_the_same_to_the_bit(store, make, tmp_path, layout, backbone, with_heads):
    made = make(backbone, with_heads)
    written = export_backbone(made, layout, tmp_path / "out")
    found = import_backbone(store, written, layout, "Licence of the importer")
    assert verify(found) == []
    assert found.read("backbone.safetensors") == made.read("backbone.safetensors")
    assert found.manifest.recipe["network"] == made.manifest.recipe["network"]
    assert found.manifest.licences == ("Licence of the importer", LICENCE)
    assert found.manifest.summary["notes"] == []
    origin = describe_origin(found)
    assert origin[0].endswith("trained elsewhere. Its file says:")
    assert origin[1:] == describe_origin(made)
    assert any(line.startswith("SIMULATED weak labels") for line in origin)


def test_the_same_backbone_gives_the_same_bytes(make, tmp_path):
    made = make()
    for layout in LAYOUTS:
        if "minkunet" in LAYOUTS[layout].rules and layout != "huggingface":
            files = [export_backbone(made, layout, tmp_path / f"{layout}{number}") for number in (1, 2)]
            assert files[0].read_bytes() == files[1].read_bytes()


def load_as_slidr(path, wanted):
    """What loaders of this family do: take the tensors by one of two keys, and one prefix by the first name alone."""
    content = torch.load(path, weights_only=True)
    assert content["config"]["voxel_size"] == 0.1
    assert content["config"]["cylindrical_coordinates"] is True
    found = content["model_points" if "model_points" in content else "state_dict"]
    if next(iter(found)).startswith("model_points."):
        found = {name.partition("model_points.")[2]: tensor for name, tensor in found.items()}
    return {name: found[name] for name in found if name in wanted}, set(found) - set(wanted)


@pytest.mark.parametrize(
    ("layout", "heads"),
    [
        ("slidr", {"final.kernel", "final.bias"}),
        ("olivine", {f"{head}.{name}" for head in ("final", "final_class_level") for name in ("kernel", "bias")}),
    ],
)
def test_slidrs_family_can_load_it(make, tmp_path, layout, heads):
    made = make()
    wanted = random_tensors(NETWORKS["minkunet"])
    loaded, rest = load_as_slidr(export_backbone(made, layout, tmp_path / "model.pt"), wanted)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in wanted.items())
    assert list(loaded) == list(wanted)
    assert rest == heads


def test_a_folder_and_its_card(store, make, tmp_path):
    made = make()
    folder = export_backbone(made, "huggingface", tmp_path / "hub" / "model")
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == made.read("backbone.safetensors")
    config = json.loads((folder / "config.json").read_text())
    assert (config["architectures"], config["out_channels"]) == (["minkunet"], 6)
    own = config["olivine"]
    assert own["network"] == NETWORKS["minkunet"].resolved()
    assert own["source"] == json.loads(made.manifest.input_ref().model_dump_json())
    front, card = (folder / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
    assert yaml.safe_load(front) == {
        "library_name": "olivine",
        "license": "other",
        "license_name": LICENCE,
        "tags": ["lidar", "point-cloud", "autonomous-driving"],
    }
    for fact in (made.id, made.manifest.data_digest, made.manifest.manifest_digest, f"- {LICENCE}", "cylindrical"):
        assert fact in card
    assert "- SIMULATED weak labels" in card
    assert "- Image encoder: mobilesam" in card
    assert "- Whether its drives were recorded or synthetic is not known here" in card


def test_a_chain_on_synthetic_drives_says_so(chain, tmp_path):
    folder = export_backbone(chain.made["pretrain"], "huggingface", tmp_path / "model")
    card = (folder / "README.md").read_text()
    assert "- SYNTHETIC drives: ray-cast streets" in card
    assert "% of the labelled pairs are right" in card
    assert "- STAND-IN: The image encoder is a stand-in" in card
    assert "| recipe | tiny_cpu |" in card
    assert "Apache-2.0 (synthetic drives of olivine)" in card


def test_an_imported_backbone_goes_into_fine_tuning(own_chain, tmp_path):
    """Through another program's layout: the same backbone, so the same segmenter, but another provenance."""
    path = export_backbone(own_chain.made["pretrain"], "slidr", tmp_path / "model.pt")
    imported = import_backbone(own_chain.store, path, "slidr", "CC BY-NC-SA 4.0")
    expected = own_chain.made["finetune"]
    own_chain.made["pretrain"] = imported
    found = own_chain.run("finetune")
    assert found.id != expected.id
    assert found.read("segmenter.safetensors") == expected.read("segmenter.safetensors")
    with pytest.raises(UsageError, match="coordinates cartesian instead of cylindrical"):
        own_chain.run("finetune", "finetune.network.coordinates=cylindrical")


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_is_overwritten(make, tmp_path, name):
    (tmp_path / "out").write_bytes(b"dear")
    backbone = next(iter(LAYOUTS[name].rules))
    with pytest.raises(UsageError, match="exists already"):
        export_backbone(make(backbone), name, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"dear"


def test_what_cannot_be_exported(store, make, tmp_path):
    out = begin(store, "pretrain", "image_features", {}, {"a": 1}, 0)
    features = out.publish({}, {}, ())
    with pytest.raises(UsageError, match=r"image_features .* is no backbone"):
        export_backbone(features, "slidr", tmp_path / "out")
    with pytest.raises(UsageError, match="there is no layout 'onnx'"):
        export_backbone(make(), "onnx", tmp_path / "out")
    network = NETWORKS["minkunet"].model_copy(update={"voxel_size": (0.1, 2.0, 0.1)})
    made = make_backbone(store, network, random_tensors(network), with_heads=False)
    with pytest.raises(UsageError, match="cannot be said in this layout"):
        export_backbone(made, "slidr", tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.safetensors", lambda data: data[:-1], "cannot be read as a checkpoint"),
        ("model.safetensors", lambda data: data[:-1] + b"\x7f", "config.json promises '[0-9a-f]{64}'"),
        ("config.json", lambda data: data[:-9], "is not JSON"),
        ("config.json", lambda data: b"[" * 100_000, "is not JSON"),
        ("config.json", lambda data: b'{"model_type": "bert"}', "states no network of this program"),
        ("config.json", lambda data: b"[]", "states no network of this program"),
        ("config.json", lambda data: b" " * (1 << 21), "missing or no config"),
        ("config.json", lambda data: data.replace(b"cylindrical", b"polar"), "a network that does not exist here"),
    ],
)
def test_a_folder_that_was_changed(store, make, tmp_path, name, change, message):
    folder = export_backbone(make(), "huggingface", tmp_path / "model")
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(DataError, match=message):
        import_backbone(store, folder, "huggingface", LICENCE)


def test_a_folder_without_its_files(store, tmp_path):
    with pytest.raises(DataError, match=r"config\.json is missing"):
        import_backbone(store, tmp_path, "huggingface", LICENCE)


def test_damage_in_the_store_is_not_exported(store, make, tmp_path):
    made = make()
    blob = tmp_path / "store" / made.manifest.blob("backbone.safetensors").key
    blob.write_bytes(b"\xff" * blob.stat().st_size)
    with pytest.raises(IntegrityError):
        export_backbone(made, "slidr", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_recipes_are_recognised():
    pretrain = load_recipe("demo").pretrain.resolved()
    assert recipe_name(pretrain) == "demo"
    assert recipe_name(pretrain | {"seed": 7}) == "demo"
    changed = load_recipe("olivine", ["pretrain.epochs=3", "pretrain.optimizer.lr=7"]).pretrain.resolved()
    assert recipe_name(changed) == "olivine, changed: optimizer.lr=7.0, epochs=3"
    assert "and" in recipe_name({"network": {}})
