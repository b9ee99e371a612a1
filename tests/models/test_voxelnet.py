"""VoxelNet against dense convolutions on a small grid, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from olivine.errors import DataError, UsageError
from olivine.models.cloud import CloudBatch, collate
from olivine.models.network import build_backbone, prepare_cloud
from olivine.models.network_recipe import NetworkRecipe, VoxelNetRecipe
from olivine.models.voxelnet import VoxelNet, sample_map

SMALL = VoxelNetRecipe(radius_m=1.6, widths=(6, 6, 8, 8, 10))
NETWORK = NetworkRecipe(kind="voxelnet", voxelnet=SMALL)


def points(seed=0, num=700):
    rng = np.random.default_rng(seed)
    xyz = np.stack([rng.uniform(-1.5, 1.5, num), rng.uniform(-1.5, 1.5, num), rng.uniform(-4.9, 2.9, num)], 1)
    return np.concatenate([xyz, rng.uniform(0, 255, (num, 1))], axis=1).astype(np.float32)


def make_net():
    torch.manual_seed(0)
    net = VoxelNet(SMALL, 0.01).double()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.4)
    return net.eval()


def batch_of(*seeds):
    clouds = collate([prepare_cloud(points(seed), NETWORK) for seed in seeds])
    return CloudBatch(
        clouds.coordinates_V4, clouds.features_VF.double(), clouds.batch_R, clouds.positions_R2, clouds.neighbours_VK
    )


def dense_map(net, clouds, num_sweeps):
    """Every layer as a convolution of a whole grid, multiplied by where a sparse one is defined."""
    num_x, num_y, num_z = SMALL.cells
    grid = torch.zeros(num_sweeps, 4, num_z, num_y, num_x, dtype=torch.float64)
    batch, x, y, z = clouds.coordinates_V4.long().T
    grid[batch, :, z, y, x] = clouds.features_VF
    there = torch.zeros(num_sweeps, 1, num_z, num_y, num_x, dtype=torch.float64)
    there[batch, 0, z, y, x] = 1

    def layer(module, grid, there, size, stride, padding):
        kernel = module[0].kernel
        weight = kernel.view(size[2], size[1], size[0], *kernel.shape[1:]).permute(4, 3, 0, 1, 2)
        order = [2, 1, 0]
        stride, padding = [stride[i] for i in order], [padding[i] for i in order]
        if stride != [1, 1, 1]:
            there = functional.max_pool3d(there, [size[i] for i in order], stride, padding)
        out = functional.conv3d(grid, weight, stride=stride, padding=padding)
        norm = module[1]
        out = functional.batch_norm(
            out, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
        )
        return functional.relu(out) * there, there

    same = ((3, 3, 3), (1, 1, 1), (1, 1, 1))
    for module in (net.conv_input, net.conv1[0]):
        grid, there = layer(module, grid, there, *same)
    for stage, margin in ((net.conv2, 1), (net.conv3, 1), (net.conv4, 0)):
        grid, there = layer(stage[0], grid, there, (3, 3, 3), (2, 2, 2), (1, 1, margin))
        for module in list(stage)[1:]:
            grid, there = layer(module, grid, there, *same)
    grid, there = layer(net.conv_out, grid, there, (1, 1, 3), (1, 1, 2), (0, 0, 0))
    return grid.flatten(1, 2)


def test_the_map_is_that_of_dense_convolutions():
    net, clouds = make_net(), batch_of(0, 1)
    found, expected = net.bev(clouds), dense_map(net, clouds, 2)
    assert found.shape == expected.shape == (2, net.out_channels, 4, 4)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_gradients_too():
    net, clouds = make_net(), batch_of(2)
    weights = torch.rand_like(dense_map(net, clouds, 1))
    sparse = torch.autograd.grad((net.bev(clouds) * weights).sum(), list(net.parameters()))
    dense = torch.autograd.grad((dense_map(net, clouds, 1) * weights).sum(), list(net.parameters()))
    for ours, theirs in zip(sparse, dense, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_points_read_the_map_between_its_cells():
    maps = torch.arange(24, dtype=torch.float64).view(1, 2, 3, 4)
    positions = torch.tensor([[0.0, 0.0], [1.5, 0.25], [9.0, 9.0], [-1.0, 1.0]])
    found = sample_map(maps, torch.zeros(4, dtype=torch.int64), positions)
    # Plane 0 holds 4 y + x, plane 1 twelve more; beyond the border its value stays.
    expected = [[0, 12], [2.5, 14.5], [11, 23], [4, 16]]
    assert found.tolist() == expected


def test_a_sweep_does_not_depend_on_its_batch():
    net = make_net()
    together, alone = net.embed(batch_of(0, 1)), net.embed(batch_of(1))
    torch.testing.assert_close(together[-len(alone) :], alone, rtol=1e-9, atol=1e-11)


def test_points_outside_the_range_have_no_row():
    cloud_points = points()
    cloud_points[:3, 0], cloud_points[3:5, 2] = 5.0, 4.0
    cloud = prepare_cloud(cloud_points, NETWORK)
    assert (cloud.row_N[:5] == -1).all()
    assert (cloud.row_N[5:] >= 0).sum() == cloud.num_rows > 500


def test_wrong_input_is_refused():
    net, clouds = make_net(), batch_of(0)
    with pytest.raises(UsageError):
        net.embed(CloudBatch(clouds.coordinates_V4, clouds.features_VF, clouds.batch_R))
    twice = CloudBatch(
        torch.cat([clouds.coordinates_V4] * 2), torch.cat([clouds.features_VF] * 2), clouds.batch_R, clouds.positions_R2
    )
    with pytest.raises(DataError, match="duplicates"):
        net.embed(twice)


def test_the_default_is_openpcdets_backbone():
    net = build_backbone(NetworkRecipe(kind="voxelnet"), 0.01, 0)
    assert net.out_channels == 128
    convolutions = [(27, 4, 16), (27, 16, 16), (27, 16, 32), *[(27, 32, 32)] * 2, (27, 32, 64), *[(27, 64, 64)] * 2]
    convolutions += [*[(27, 64, 64)] * 3, (3, 64, 128)]
    assert [tuple(p.shape) for name, p in net.named_parameters() if name.endswith("kernel")] == convolutions
    assert sum(p.numel() for p in net.parameters()) == sum(k * i * o + 2 * o for k, i, o in convolutions)
