from __future__ import annotations

import numpy as np
import pytest
import torch

from olivine.models.cloud import collate
from olivine.models.network import build_backbone, prepare_cloud
from olivine.models.network_recipe import NetworkRecipe, VoxelNetRecipe, WaffleIronRecipe
from olivine.models.segmenter import Segmenter
from olivine.models.voxelnet_cloud import voxelnet_cloud
from olivine.models.waffleiron_cloud import waffleiron_cloud
from olivine.points.voxelize import voxelize

TINY = {
    "minkunet": NetworkRecipe(coordinates="cartesian", voxel_size=(0.5,) * 3, widths=(4,) * 9, blocks=(1,) * 8),
    "voxelnet": NetworkRecipe(
        kind="voxelnet", voxelnet=VoxelNetRecipe(radius_m=12.8, voxel_size=(0.4, 0.4, 0.32), widths=(4, 4, 8, 8, 8))
    ),
    "waffleiron": NetworkRecipe(
        kind="waffleiron",
        waffleiron=WaffleIronRecipe(
            width=8, depth=3, field_of_view=((-12.0, -12.0, -5.0), (12.0, 12.0, 5.0)), cell_m=1.0, max_points=200
        ),
    ),
}
OUT_CHANNELS = {"minkunet": 4, "voxelnet": 8, "waffleiron": 8}


@pytest.fixture(params=list(TINY))
def recipe(request):
    return TINY[request.param]


def sweep(seed, num_points=300):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, 6, (num_points, 3)) * [1, 1, 0.3]
    return np.column_stack([xyz, rng.integers(0, 256, num_points)]).astype(np.float32)


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_seed_gives_its_parameters_and_leaves_the_global_generator_alone(recipe):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = build_backbone(recipe, 0.05, 1).state_dict()
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(8)
    assert same(first, build_backbone(recipe, 0.05, 1).state_dict())
    assert not same(first, build_backbone(recipe, 0.05, 2).state_dict())


def test_the_recipe_reaches_network_and_voxels():
    small = NetworkRecipe(widths=(4, 4, 4, 4, 4, 4, 4, 4, 6), blocks=(1,) * 8)
    backbone = build_backbone(small, 0.02, 0)
    assert (backbone.out_channels, backbone.bn0.bn.momentum) == (6, 0.02)
    points_N4 = np.random.default_rng(0).uniform(-20, 20, (500, 4)).astype(np.float32)
    recipe = NetworkRecipe(
        coordinates="cartesian", voxel_size=(1.0, 2.0, 3.0), voxel_feature="first", intensity_scale=2
    )
    found, expected = prepare_cloud(points_N4, recipe), voxelize(points_N4, "cartesian", (1.0, 2.0, 3.0), "first", 2)
    assert np.array_equal(found.coordinates_V3, expected.coordinates_V3)
    assert np.array_equal(found.features_VF, expected.features_V1)
    assert np.array_equal(found.row_N, expected.inverse_N)


def test_the_default_is_the_papers_network():
    num_parameters = sum(parameter.numel() for parameter in build_backbone(NetworkRecipe(), 0.05, 0).parameters())
    assert round(num_parameters / 1e6, 2) == 37.84


def test_every_kind_gets_its_recipe_its_momentum_and_its_cloud(recipe):
    backbone = build_backbone(recipe, 0.03, 0)
    assert type(backbone).__name__.lower() == recipe.kind
    assert backbone.out_channels == OUT_CHANNELS[recipe.kind]
    norms = [module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert {norm.momentum for norm in norms} == {0.03}
    assert backbone.embed(collate([prepare_cloud(sweep(0), recipe)])).shape[1] == backbone.out_channels


def test_clouds_are_those_of_the_kind_with_the_recipes_intensity():
    points, scaled = sweep(0), {"intensity_scale": 0.5}
    voxelnet, waffleiron = (TINY[kind].model_copy(update=scaled) for kind in ("voxelnet", "waffleiron"))
    for found, expected in (
        (prepare_cloud(points, voxelnet), voxelnet_cloud(points, voxelnet.voxelnet, 0.5)),
        (prepare_cloud(points, waffleiron), waffleiron_cloud(points, waffleiron.waffleiron, 0.5)),
        (
            prepare_cloud(points, waffleiron, np.random.default_rng(3)),
            waffleiron_cloud(points, waffleiron.waffleiron, 0.5, np.random.default_rng(3)),
        ),
    ):
        assert np.array_equal(found.coordinates_V3, expected.coordinates_V3)
        assert np.array_equal(found.features_VF, expected.features_VF)
        assert np.array_equal(found.row_N, expected.row_N)


def test_only_a_waffleiron_draws_for_training(recipe):
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    cloud = prepare_cloud(sweep(0), recipe, rng)
    assert (rng.bit_generator.state != before) is (recipe.kind == "waffleiron")
    assert (cloud.num_rows == 200) is (recipe.kind == "waffleiron")


def test_every_point_has_a_row_of_its_kind_or_none(recipe):
    cloud = prepare_cloud(sweep(1), recipe)
    assert cloud.row_N.shape == (300,)
    assert cloud.row_N.dtype == np.int64
    assert np.array_equal(np.unique(cloud.row_N[cloud.row_N >= 0]), np.arange(cloud.num_rows))
    assert (cloud.row_N < 0).any() is np.bool_(recipe.kind != "minkunet")


def train_step(segmenter, recipe):
    """One step towards random categories; the loss before it."""
    clouds = collate([prepare_cloud(sweep(seed), recipe) for seed in (0, 1)])
    target = torch.from_numpy(np.random.default_rng(0).integers(1, 17, len(clouds.batch_R)))
    optimizer = torch.optim.SGD(segmenter.parameters(), lr=0.05)
    loss = torch.nn.functional.cross_entropy(segmenter.train()(clouds), target)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def test_every_kind_trains_and_moves_all_of_its_parameters(recipe):
    segmenter = Segmenter(recipe, 0.05, 0)
    before = {name: parameter.detach().clone() for name, parameter in segmenter.named_parameters()}
    losses = [train_step(segmenter, recipe) for _ in range(5)]
    assert losses[-1] < losses[0]
    still = [name for name, parameter in segmenter.named_parameters() if torch.equal(parameter, before[name])]
    assert still == []


def test_parameters_move_through_a_state_dict(recipe):
    segmenter, other = Segmenter(recipe, 0.05, 0), Segmenter(recipe, 0.05, 1)
    train_step(segmenter, recipe)
    other.load_state_dict(segmenter.state_dict(), strict=True)
    clouds = collate([prepare_cloud(sweep(2), recipe)])
    with torch.no_grad():
        assert torch.equal(segmenter.eval()(clouds), other.eval()(clouds))


def test_a_backbone_can_be_described_without_memory(recipe):
    with torch.device("meta"):
        backbone = build_backbone(recipe, 0.05, 0)
    assert all(tensor.is_meta for tensor in backbone.state_dict().values())
    assert backbone.out_channels == OUT_CHANNELS[recipe.kind]


def test_nested_recipes_compare_through_what_a_manifest_keeps():
    """Fine-tuning compares the fields of a backbone's manifest with its own, one by one."""
    kept = TINY["waffleiron"].resolved()
    assert NetworkRecipe.model_validate(kept) == TINY["waffleiron"]
    assert NetworkRecipe.model_validate(kept).resolved() == kept
    other = TINY["waffleiron"].model_copy(update={"waffleiron": WaffleIronRecipe()}).resolved()
    assert [name for name in kept if kept[name] != other[name]] == ["waffleiron"]


def test_minkowski_has_no_other_kind():
    with pytest.raises(ValueError, match="backend minkowski has no voxelnet: choose backend plain"):
        NetworkRecipe(kind="voxelnet", backend="minkowski")
    assert NetworkRecipe(backend="minkowski").backend == "minkowski"
