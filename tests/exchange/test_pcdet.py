"""OpenPCDet's layout: its names, and that a file written for it computes there what it computes here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv3d, max_pool3d

from exchange.conftest import LICENCE, NETWORKS, make_backbone, random_tensors
from olivine.errors import DataError, UsageError
from olivine.exchange.exporting import export_backbone
from olivine.exchange.importing import import_backbone
from olivine.exchange.inspecting import inspect_weights
from olivine.models.cloud import CloudBatch
from olivine.models.network import build_backbone
from olivine.models.network_recipe import NetworkRecipe, VoxelNetRecipe
from olivine.training.tensors import bytes_tensors

VOXELNET = NETWORKS["voxelnet"]
SMALL = NetworkRecipe(
    kind="voxelnet",
    voxelnet=VoxelNetRecipe(radius_m=0.8, height_m=(0, 5.2), voxel_size=(0.1, 0.1, 0.2), widths=(4, 5, 6, 7, 8)),
)

# Name, kernel size, stride and padding along (z, y, x), and whether the grid is kept; as VoxelBackBone8x has them.
LAYERS = [
    ("conv_input", (3, 3, 3), (1, 1, 1), (1, 1, 1), True),
    ("conv1.0", (3, 3, 3), (1, 1, 1), (1, 1, 1), True),
    *[
        layer
        for stage, padding in (("conv2", (1, 1, 1)), ("conv3", (1, 1, 1)), ("conv4", (0, 1, 1)))
        for layer in (
            (f"{stage}.0", (3, 3, 3), (2, 2, 2), padding, False),
            (f"{stage}.1", (3, 3, 3), (1, 1, 1), (1, 1, 1), True),
            (f"{stage}.2", (3, 3, 3), (1, 1, 1), (1, 1, 1), True),
        )
    ],
    ("conv_out", (3, 1, 1), (2, 1, 1), (0, 0, 0), False),
]


def checkpoint(widths=(16, 32, 64, 64, 128), version=2):
    """A detector as OpenPCDet saves it, by the names and shapes of its code."""
    generator = torch.Generator().manual_seed(1)
    first, second, third, fourth, last = widths
    channels = [4, first, first, *(width for width in (second, third, fourth) for _ in range(3)), last]
    state: dict[str, Tensor] = {"global_step": torch.zeros(1).long()}
    for (name, size, *_), inputs, outputs in zip(LAYERS, channels[:-1], channels[1:], strict=True):
        shape = (outputs, *size, inputs) if version == 2 else (*size, inputs, outputs)
        state[f"backbone_3d.{name}.0.weight"] = torch.randn(shape, generator=generator)
        for statistic in ("weight", "bias", "running_mean", "running_var"):
            state[f"backbone_3d.{name}.1.{statistic}"] = torch.rand(outputs, generator=generator) + 0.5
        state[f"backbone_3d.{name}.1.num_batches_tracked"] = torch.tensor(3)
    state |= {"backbone_2d.blocks.0.1.weight": torch.ones(2), "dense_head.conv_cls.bias": torch.ones(3)}
    return {"epoch": 80, "it": 74_240, "model_state": state, "optimizer_state": None, "version": "pcdet+0.6.0"}


@pytest.mark.parametrize(("version", "layout"), [(2, "pcdet"), (1, "pcdet_spconv1")])
def test_a_detector_of_openpcdet(store, tmp_path, version, layout):
    content = checkpoint(version=version)
    torch.save(content, tmp_path / "checkpoint_epoch_80.pth")
    made = import_backbone(store, tmp_path / "checkpoint_epoch_80.pth", layout, LICENCE, VOXELNET)
    found = bytes_tensors(made.read("backbone.safetensors"), "")
    build_backbone(VOXELNET, 0.01, 0).load_state_dict(found, strict=True)
    weight = content["model_state"]["backbone_3d.conv3.1.0.weight"]
    x, y, z, source, target = 2, 0, 1, 5, 11
    index = (target, z, y, x, source) if version == 2 else (z, y, x, source, target)
    assert found["conv3.1.0.kernel"][x + 3 * y + 9 * z, source, target] == weight[index]
    assert torch.equal(found["conv_out.1.running_var"], content["model_state"]["backbone_3d.conv_out.1.running_var"])
    assert made.manifest.counts["left_out"] == 3
    again = export_backbone(made, layout, tmp_path / "again.pth")
    written = torch.load(again, weights_only=True)["model_state"]
    expected = {name: tensor for name, tensor in content["model_state"].items() if name.startswith("backbone_3d.")}
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())


def test_the_other_order_of_axes_is_recognised_and_said(store, tmp_path):
    for version, layout, fitting in ((1, "pcdet", "pcdet_spconv1"), (2, "pcdet_spconv1", "pcdet")):
        torch.save(checkpoint(version=version), tmp_path / f"{version}.pth")
        with pytest.raises(DataError, match=rf"12 of another shape or type: .*It fits layout {fitting}\."):
            import_backbone(store, tmp_path / f"{version}.pth", layout, LICENCE, VOXELNET)


def test_a_residual_backbone_is_another_architecture(store, tmp_path):
    content = checkpoint()
    state = content["model_state"]
    state |= {
        "backbone_3d.conv1.0.conv1.weight": torch.ones(16, 3, 3, 3, 16),
        "backbone_3d.conv1.0.bn1.bias": torch.ones(16),
    }
    del state["backbone_3d.conv1.0.0.weight"]
    torch.save(content, tmp_path / "second.pth")
    with pytest.raises(
        DataError, match=r"1 missing: backbone_3d.conv1.0.0.weight; 2 unknown: backbone_3d.conv1.0.conv1"
    ):
        import_backbone(store, tmp_path / "second.pth", "pcdet", LICENCE, VOXELNET)


def test_it_does_not_say_its_network_and_has_no_minkunet(store, tmp_path):
    torch.save(checkpoint(), tmp_path / "a.pth")
    with pytest.raises(UsageError, match="does not say which coordinates"):
        import_backbone(store, tmp_path / "a.pth", "pcdet", LICENCE)
    with pytest.raises(UsageError, match="layout pcdet has no minkunet, only voxelnet"):
        import_backbone(store, tmp_path / "a.pth", "pcdet", LICENCE, NETWORKS["minkunet"])


def test_inspection_finds_the_backbone_by_itself(tmp_path):
    torch.save(checkpoint(version=1), tmp_path / "a.pth")
    fits = inspect_weights(tmp_path / "a.pth")["fits"]
    assert [name for name, fit in fits.items() if fit["complete"]] == ["pcdet_spconv1"]
    assert fits["pcdet_spconv1"] | {"left_out": 0} == {
        "backbone": "voxelnet",
        "matched": 72,
        "wanted": 72,
        "left_out": 0,
        "complete": True,
    }


def test_inspection_chooses_the_backbone_that_fits_best(tmp_path, minkunet):
    state = checkpoint()["model_state"]
    voxelnet = {name.removeprefix("backbone_3d."): state[name] for name in state if name.startswith("backbone_3d.")}
    for tensors, name in ((voxelnet, "voxelnet"), (minkunet, "minkunet")):
        torch.save(tensors, tmp_path / name)
        assert inspect_weights(tmp_path / name)["fits"]["slidr"]["backbone"] == name


def cloud(seed, channels=4):
    """Voxels (x, y, z) of a small grid and their features."""
    generator = np.random.default_rng(seed)
    occupied = generator.random((16, 16, 26)) < 0.05
    voxels_V3 = np.argwhere(occupied)
    return voxels_V3, generator.normal(size=(len(voxels_V3), channels))


def tame_tensors(network):
    """Random tensors whose products neither vanish nor grow from layer to layer."""
    tensors = random_tensors(network)
    for name, tensor in tensors.items():
        if name.endswith("kernel"):
            tensors[name] = (tensor - tensor.mean()) * (12 / (tensor.shape[0] * tensor.shape[1])) ** 0.5
    return tensors


def dense_network(state: dict[str, Tensor], prefix: str, voxels_V3, features_VF) -> Tensor:
    """The network on a whole grid (z, y, x) in float64, from a file's tensors [out, z, y, x, in]."""
    index = tuple(voxels_V3[:, ::-1].T)
    grid, active = torch.zeros(1, features_VF.shape[1], 26, 16, 16).double(), torch.zeros(1, 1, 26, 16, 16).double()
    grid[0][(slice(None), *index)] = torch.from_numpy(features_VF.T)
    active[0, 0][index] = 1
    for name, size, stride, padding, keeps in LAYERS:
        weight = state[f"{prefix}{name}.0.weight"].double().permute(0, 4, 1, 2, 3)
        grid = conv3d(grid, weight, stride=stride, padding=padding)
        if not keeps:
            active = max_pool3d(active, size, stride, padding)
        mean, variance, gain, bias = (
            state[f"{prefix}{name}.1.{key}"].double() for key in ("running_mean", "running_var", "weight", "bias")
        )
        grid = batch_norm(grid, mean, variance, gain, bias, eps=1e-3).relu() * active
    return grid.flatten(1, 2)


@pytest.mark.parametrize("layout", ["pcdet", "slidr", "olivine"])
def test_the_file_computes_elsewhere_what_the_backbone_computes_here(store, tmp_path, layout):
    network = SMALL if layout == "pcdet" else VOXELNET
    tensors = tame_tensors(network)
    made = make_backbone(store, network, tensors, with_heads=True)
    content = torch.load(export_backbone(made, layout, tmp_path / "model.pth"), weights_only=True)
    key, prefix = {
        "pcdet": ("model_state", "backbone_3d."),
        "slidr": ("model_points", ""),
        "olivine": ("state_dict", "model_points."),
    }[layout]
    assert all(name.startswith(prefix) and "final" not in name for name in content[key])
    if layout != "pcdet":
        assert content["config"]["model_points"] == "voxelnet"
        return
    voxels_V3, features_VF = cloud(0)
    backbone = build_backbone(network, 0.01, 0).double()
    backbone.load_state_dict(tensors)
    backbone.eval()
    coordinates_V4 = torch.from_numpy(np.insert(voxels_V3, 0, 0, axis=1)).int()
    clouds = CloudBatch(coordinates_V4, torch.from_numpy(features_VF), torch.zeros(1).long())
    found_DYX = backbone.bev(clouds)[0].detach()
    expected_DYX = dense_network(content[key], prefix, voxels_V3, features_VF)[0]
    assert 0.1 < float(expected_DYX.abs().max()) < 1000
    torch.testing.assert_close(found_DYX, expected_DYX, rtol=1e-9, atol=1e-9)


def test_spconv_itself_computes_the_same(store, tmp_path):
    """With the real library, where it is installed (`pip install spconv`: its CPU build will do)."""
    spconv = pytest.importorskip("spconv.pytorch")
    made = make_backbone(store, SMALL, tame_tensors(SMALL), with_heads=False)
    path = export_backbone(made, "pcdet", tmp_path / "model.pth")
    state = torch.load(path, weights_only=True)["model_state"]
    voxels_V3, features_VF = cloud(1)
    indices = torch.from_numpy(np.insert(voxels_V3[:, ::-1], 0, 0, axis=1).copy()).int()
    layer = spconv.SparseConvTensor(torch.from_numpy(features_VF).float(), indices, [26, 16, 16], 1)
    for name, size, stride, padding, keeps in LAYERS:
        weight = state[f"backbone_3d.{name}.0.weight"]
        kind = spconv.SubMConv3d if keeps else spconv.SparseConv3d
        convolution = kind(weight.shape[-1], weight.shape[0], size, stride=stride, padding=padding, bias=False)
        convolution.load_state_dict({"weight": weight}, strict=True)
        norm = torch.nn.BatchNorm1d(weight.shape[0], eps=1e-3).eval()
        keys = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        norm.load_state_dict({key: state[f"backbone_3d.{name}.1.{key}"] for key in keys})
        layer = convolution(layer)
        layer = layer.replace_feature(norm(layer.features).relu())
    expected_DYX = dense_network(state, "backbone_3d.", voxels_V3, features_VF)[0].float()
    found_DYX = torch.zeros_like(expected_DYX)
    found_DYX[:, *layer.indices[:, 2:].long().T] = layer.features.detach().T
    torch.testing.assert_close(found_DYX, expected_DYX, rtol=1e-4, atol=1e-4)
