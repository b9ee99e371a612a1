"""ScaLR's layout: the modules of its program, built here by their public names, load it and compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from exchange.conftest import LICENCE, NETWORKS, make_backbone, random_tensors
from olivine.artifacts import begin
from olivine.errors import DataError
from olivine.exchange.exporting import export_backbone
from olivine.exchange.importing import import_backbone
from olivine.models.cloud import CloudBatch
from olivine.models.network import build_backbone
from olivine.training.tensors import bytes_tensors, tensors_bytes

WAFFLEIRON = NETWORKS["waffleiron"]
# Axes of the grids that layers take in turn: dim_proj [2, 1, 0] of its configuration.
PLANES = ((0, 1), (0, 2), (1, 2))


class Mix(nn.Module):
    """`norm`, `mlp` or `ffn`, and `scale`, as both mixings have them."""

    def __init__(self, name: str, width: int, norm: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width) if norm == "batch" else nn.LayerNorm(width)
        spatial = {"kernel_size": 3, "padding": 1, "groups": width}
        layers = [nn.Conv2d(width, width, **spatial) if name == "ffn" else nn.Conv1d(width, width, 1) for _ in range(2)]
        self.add_module(name, nn.Sequential(layers[0], nn.ReLU(), layers[1]))
        self.scale = nn.Conv1d(width, width, 1, bias=False, groups=width)

    def normalise(self, tokens: Tensor) -> Tensor:
        if isinstance(self.norm, nn.LayerNorm):
            return self.norm(tokens.transpose(1, 2)).transpose(1, 2)
        return self.norm(tokens)


class Program(nn.Module):
    """A WaffleIron on one sweep [1, channels, points], layer by layer as its paper says."""

    def __init__(self, width: int, depth: int, num_outputs: int, norm: str = "batch") -> None:
        super().__init__()
        self.embed = nn.ModuleDict(
            {
                "norm": nn.BatchNorm1d(5),
                "conv1": nn.Conv1d(5, width, 1),
                "conv2": nn.Sequential(
                    nn.BatchNorm2d(5),
                    nn.Conv2d(5, width, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 1, bias=False),
                ),
                "final": nn.Conv1d(2 * width, width, 1),
            }
        )
        self.waffleiron = nn.ModuleDict(
            {
                "channel_mix": nn.ModuleList(Mix("mlp", width, norm) for _ in range(depth)),
                "spatial_mix": nn.ModuleList(Mix("ffn", width, norm) for _ in range(depth)),
            }
        )
        self.classif = nn.Conv1d(width, num_outputs, 1)

    def tokens(self, features: Tensor, neighbours_VK: Tensor, cells_V3: Tensor, sizes: tuple[int, ...]) -> Tensor:
        features = self.embed["norm"](features)
        around = features[:, :, neighbours_VK] - features[..., None]
        local = self.embed["conv2"](around).amax(dim=-1)
        tokens = self.embed["final"](torch.cat([self.embed["conv1"](features), local], dim=1))
        mixings = zip(self.waffleiron["spatial_mix"], self.waffleiron["channel_mix"], strict=True)
        for depth, (spatial, channel) in enumerate(mixings):
            first, second = PLANES[depth % 3]
            cell_V = cells_V3[:, first] * sizes[second] + cells_V3[:, second]
            share = torch.zeros(len(cell_V), sizes[first] * sizes[second], dtype=tokens.dtype)
            share[torch.arange(len(cell_V)), cell_V] = 1
            flat = spatial.normalise(tokens) @ (share / share.sum(dim=0).clamp(min=1))
            flat = spatial.ffn(flat.view(1, -1, sizes[first], sizes[second])).flatten(2)
            tokens = tokens + spatial.scale(flat)[..., cell_V]
            tokens = tokens + channel.scale(channel.mlp(channel.normalise(tokens)))
        return tokens


def sweep(seed=0, num_points=60, sizes=(20, 20, 16)):
    generator = torch.Generator().manual_seed(seed)
    cells_V3 = torch.stack([torch.randint(size, (num_points,), generator=generator) for size in sizes], dim=1)
    features_VF = torch.randn(num_points, 5, generator=generator, dtype=torch.float64)
    return cells_V3, features_VF, torch.randint(num_points, (num_points, 4), generator=generator)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_its_program_loads_the_file_and_computes_the_same(store, tmp_path, norm):
    recipe = WAFFLEIRON.waffleiron.model_copy(update={"norm": norm})
    network = WAFFLEIRON.model_copy(update={"waffleiron": recipe})
    tensors = random_tensors(network)
    made = make_backbone(store, network, tensors, with_heads=True)
    content = torch.load(export_backbone(made, "scalr", tmp_path / "model.pth"), weights_only=True)
    program = Program(recipe.width, recipe.depth, 5, norm)
    program.load_state_dict(content["model_points"], strict=True)
    backbone = build_backbone(network, 0.1, 0)
    backbone.load_state_dict(tensors)
    backbone, program = backbone.double().eval(), program.double().eval()
    cells_V3, features_VF, neighbours_VK = sweep(sizes=recipe.cells)
    coordinates_V4 = torch.cat([torch.zeros(len(cells_V3), 1), cells_V3], dim=1).int()
    clouds = CloudBatch(coordinates_V4, features_VF, torch.zeros(len(cells_V3)).long(), neighbours_VK=neighbours_VK)
    found_RD = backbone.embed(clouds)
    expected_RD = program.tokens(features_VF.T[None], neighbours_VK, cells_V3, recipe.cells)[0].T
    torch.testing.assert_close(found_RD, expected_RD, rtol=1e-9, atol=1e-9)
    head = {name: tensor.double() for name, tensor in bytes_tensors(made.read("distiller.safetensors"), "").items()}
    logits_RC = found_RD @ head["heads.point_pixel.points.kernel"] + head["heads.point_pixel.points.bias"]
    torch.testing.assert_close(logits_RC, program.classif(expected_RD.T[None])[0].T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("key", "prefix"), [("model_points", ""), ("model_point", "module."), ("net", "module.")])
def test_its_checkpoints(store, tmp_path, key, prefix):
    program = Program(6, 4, 1024)
    state = {f"{prefix}{name}": torch.rand(tensor.shape).to(tensor) for name, tensor in program.state_dict().items()}
    torch.save({"epoch": 24, key: state, "optim": {"state": {}}, "scaler": None}, tmp_path / "ckpt_last.pth")
    made = import_backbone(store, tmp_path / "ckpt_last.pth", "scalr", LICENCE, WAFFLEIRON)
    found = bytes_tensors(made.read("backbone.safetensors"), "")
    build_backbone(WAFFLEIRON, 0.1, 0).load_state_dict(found, strict=True)
    assert torch.equal(
        found["channel_mix.3.mlp.2.weight"], state[f"{prefix}waffleiron.channel_mix.3.mlp.2.weight"][..., 0]
    )
    assert torch.equal(found["spatial_mix.1.scale"], state[f"{prefix}waffleiron.spatial_mix.1.scale.weight"].flatten())
    assert made.manifest.counts["left_out"] == 2
    assert made.manifest.summary["notes"][0].startswith("ScaLR's program shifts intensities to mean 0")


def test_a_head_of_regression_goes_before_that_of_points_and_pixels(store, tmp_path):
    out = begin(store, "pretrain", "backbone", {}, {"network": WAFFLEIRON.resolved()}, 0)
    out.put("backbone.safetensors", tensors_bytes(random_tensors(WAFFLEIRON)))
    heads = {}
    for head, value in (("heads.point_pixel.points", 1.0), ("terms.regression.head", 2.0)):
        heads |= {f"{head}.kernel": torch.full((6, 3), value), f"{head}.bias": torch.full((1, 3), value)}
    out.put("distiller.safetensors", tensors_bytes(heads))
    made = out.publish({}, {"method": "scalr"}, (LICENCE,))
    state = torch.load(export_backbone(made, "scalr", tmp_path / "model.pth"), weights_only=True)["model_points"]
    assert torch.equal(state["classif.weight"], torch.full((3, 6, 1), 2.0))
    assert torch.equal(state["classif.bias"], torch.full((3,), 2.0))


def test_another_depth_is_refused(store, tmp_path):
    torch.save({"model_point": Program(6, 5, 8).state_dict()}, tmp_path / "model.pth")
    with pytest.raises(DataError, match=r"fits in part.*20 unknown: waffleiron.channel_mix.4.norm.weight"):
        import_backbone(store, tmp_path / "model.pth", "scalr", LICENCE, WAFFLEIRON)
