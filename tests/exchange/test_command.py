"""`olivine weights`: what a person reads, what a script reads, and wrong calls."""

from __future__ import annotations

import json

import pytest
import torch

from exchange.conftest import LICENCE, NETWORKS, make_backbone, random_tensors
from olivine.errors import UsageError
from olivine.exchange.command import layout_lines, run_export, run_import, run_inspect
from olivine.recipes import load_recipe

# The small network, as a caller states it.
SETTINGS = [f"finetune.network.{name}={json.dumps(value)}" for name, value in NETWORKS["minkunet"].resolved().items()]


@pytest.fixture
def checkpoint(tmp_path, minkunet):
    content = {"model_points": minkunet, "config": {"cylindrical_coordinates": True, "voxel_size": 0.1}}
    torch.save(content, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_import_prints_the_backbone_and_how_to_go_on(store, checkpoint, capsys):
    made = run_import(store.url, checkpoint, "slidr", LICENCE, "olivine", SETTINGS)
    out, err = capsys.readouterr()
    assert out == f"backbone {made.id}\n"
    assert "IMPORTED from model.pt (layout slidr, sha256 " in err
    usual = load_recipe("olivine").finetune.network.resolved()
    network = NETWORKS["minkunet"].resolved()
    changed = [
        f"--set 'finetune.network.{name}={json.dumps(network[name])}'" for name in usual if usual[name] != network[name]
    ]
    assert len(changed) >= 2
    assert err.splitlines()[1].startswith(
        f"Fine-tune: olivine finetune --recipe olivine --backbone {made.id[:12]} --set"
    )
    assert all(setting in err for setting in changed)
    assert "180 tensors" in err
    run_import(store.url, checkpoint, "slidr", LICENCE, "olivine", SETTINGS, as_json=True)
    assert json.loads(capsys.readouterr().out)["id"] == made.id


def test_settings_need_a_recipe(store, checkpoint):
    with pytest.raises(UsageError, match="say which one with --recipe"):
        run_import(store.url, checkpoint, "slidr", LICENCE, "", SETTINGS)


def test_export_prints_where_it_is_and_what_must_be_known(store, tmp_path, capsys):
    network = NETWORKS["minkunet"]
    made = make_backbone(store, network, random_tensors(network), with_heads=True)
    written = run_export(store.url, made.id[:8], "huggingface", tmp_path / "model")
    out, err = capsys.readouterr()
    assert out == f"{written}\n"
    assert "SIMULATED weak labels" in err
    assert f"Licence: {LICENCE}" in err
    with pytest.raises(UsageError, match="is no backbone in"):
        run_export(store.url, "0" * 64, "huggingface", tmp_path / "other")


def test_inspect_shows_what_fits(checkpoint, capsys):
    run_inspect(checkpoint, "olivine", SETTINGS)
    out = capsys.readouterr().out
    assert "model.pt: " in out
    assert "model_points.conv0p1s1.kernel float32 [27, 1, 4]" in out
    assert 'network: {"kind": "minkunet", "coordinates": "cylindrical", "voxel_size": [0.1, 1.0, 0.1]}' in out
    assert "fits: 180 of 180 tensors of a minkunet" in out
    run_inspect(checkpoint)
    out = capsys.readouterr().out
    assert "layout slidr        does not fit" in out


def test_inspect_as_json(checkpoint, store, tmp_path, capsys):
    run_inspect(checkpoint, "olivine", SETTINGS, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["fits"]["slidr"] == {
        "backbone": "minkunet",
        "matched": 180,
        "wanted": 180,
        "left_out": 0,
        "complete": True,
    }
    assert {"name": "model_points.bn0.bn.weight", "shape": [4], "type": "float32"} in found["tensors"]
    made = run_import(store.url, checkpoint, "slidr", LICENCE, "olivine", SETTINGS)
    run_export(store.url, made.id, "huggingface", tmp_path / "model")
    capsys.readouterr()
    run_inspect(tmp_path / "model", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert list(found["fits"]) == ["huggingface"]
    assert found["fits"]["huggingface"]["complete"]
    assert found["statement"] == NETWORKS["minkunet"].resolved()


def test_inspect_of_names_made_to_deceive(tmp_path, capsys):
    torch.save({"\x1b[2Jmodel": torch.ones(1)}, tmp_path / "model.pt")
    run_inspect(tmp_path / "model.pt")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "network: it says nothing" in out


def test_layouts_are_described():
    assert any(line.startswith("huggingface: a folder with config.json") for line in layout_lines())
