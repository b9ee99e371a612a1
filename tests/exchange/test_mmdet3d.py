"""mmdetection3d's layout: its names, and that it means the same tensors as OpenPCDet's."""

from __future__ import annotations

import re

import pytest
import torch

from exchange.conftest import LICENCE, NETWORKS, make_backbone, random_tensors
from exchange.test_pcdet import checkpoint
from olivine.errors import DataError
from olivine.exchange.exporting import export_backbone
from olivine.exchange.importing import import_backbone
from olivine.training.tensors import bytes_tensors

VOXELNET = NETWORKS["voxelnet"]
NAMES = [
    # As SparseEncoder builds them: one layer at full size, three in each coarser stage, each a kernel and a norm.
    "conv_input",
    "encoder_layers.encoder_layer1.0",
    *(f"encoder_layers.encoder_layer{stage}.{layer}" for stage in (2, 3, 4) for layer in (0, 1, 2)),
    "conv_out",
]


def as_mmdet3d(pcdet_state):
    """The same detector by the other program's names."""
    state = {"bbox_head.conv_cls.bias": torch.ones(3)}
    for name, tensor in pcdet_state.items():
        if name.startswith("backbone_3d."):
            inner = re.sub(r"^conv([1-4])\.", r"encoder_layers.encoder_layer\1.", name.removeprefix("backbone_3d."))
            state[f"middle_encoder.{inner}"] = tensor
    return state


def test_the_same_weights_as_openpcdets(store, tmp_path):
    pcdet = checkpoint(VOXELNET.voxelnet.widths, version=1)
    torch.save(pcdet, tmp_path / "pcdet.pth")
    state = as_mmdet3d(pcdet["model_state"])
    assert {name.rsplit(".", 2)[0] for name in state} == {"bbox_head", *(f"middle_encoder.{name}" for name in NAMES)}
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "mmdet3d.pth")
    one, other = (
        bytes_tensors(
            import_backbone(store, tmp_path / f"{layout.split('_')[0]}.pth", layout, LICENCE, VOXELNET).read(
                "backbone.safetensors"
            ),
            "",
        )
        for layout in ("pcdet_spconv1", "mmdet3d")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_what_is_written_is_read_again(store, tmp_path):
    made = make_backbone(store, VOXELNET, random_tensors(VOXELNET), with_heads=False)
    path = export_backbone(made, "mmdet3d", tmp_path / "model.pth")
    state = torch.load(path, weights_only=True)["state_dict"]
    assert {name.rsplit(".", 2)[0] for name in state} == {f"middle_encoder.{name}" for name in NAMES}
    first, second = VOXELNET.voxelnet.widths[:2]
    assert state["middle_encoder.encoder_layers.encoder_layer2.0.0.weight"].shape == (3, 3, 3, first, second)
    # Its loader turns kernels of files that do not say their version, so there must be no word of one.
    assert not hasattr(state, "_metadata")
    back = import_backbone(store, path, "mmdet3d", LICENCE, VOXELNET)
    expected = bytes_tensors(made.read("backbone.safetensors"), "")
    assert all(
        torch.equal(tensor, expected[name])
        for name, tensor in bytes_tensors(back.read("backbone.safetensors"), "").items()
    )


def test_kernels_in_the_order_of_spconv_2_are_refused(store, tmp_path):
    state = as_mmdet3d(checkpoint(VOXELNET.voxelnet.widths, version=2)["model_state"])
    torch.save({"state_dict": state}, tmp_path / "model.pth")
    with pytest.raises(
        DataError, match=r"fits in part, .*of another shape or type: middle_encoder\.conv_input\.0\.weight"
    ):
        import_backbone(store, tmp_path / "model.pth", "mmdet3d", LICENCE, VOXELNET)
