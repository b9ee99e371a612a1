from __future__ import annotations

import numpy as np
import torch

from olivine.models.network import build_backbone, prepare_cloud
from olivine.models.network_recipe import NetworkRecipe
from olivine.points.voxelize import voxelize

SMALL = NetworkRecipe(widths=(4,) * 9, blocks=(1,) * 8)


def parameters(seed):
    return build_backbone(SMALL, 0.05, seed).state_dict()


def test_a_seed_gives_its_parameters_and_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = parameters(1)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(8)
    second = parameters(1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], tensor) for name, tensor in parameters(2).items())


def test_the_recipe_reaches_network_and_voxels():
    backbone = build_backbone(SMALL.model_copy(update={"widths": (4, 4, 4, 4, 4, 4, 4, 4, 6)}), 0.02, 0)
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
