"""VoxelNet: its sparse layers against dense convolutions in float64, its map against bilinear interpolation by hand."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from olivine.errors import DataError, UsageError
from olivine.models.cloud import collate
from olivine.models.network_recipe import VoxelNetRecipe
from olivine.models.sparse.convolution import Scratch, convolve
from olivine.models.sparse.maps import submanifold_map, voxel_keys
from olivine.models.voxelnet import (
    FLATTEN,
    HALVE,
    HALVE_WITHOUT_HEIGHT_MARGIN,
    SparseMap,
    VoxelNet,
    densify,
    sample_map,
)
from olivine.models.voxelnet_cloud import voxelnet_cloud
from olivine.models.voxelnet_maps import Window, split_keys, strided_map
from olivine.training.determinism import deterministic

SMALL = VoxelNetRecipe(radius_m=3.2, height_m=(-2.0, 3.0), voxel_size=(0.4, 0.4, 0.2), widths=(3, 4, 5, 4, 6))
"""16 x 16 x 25 voxels, 2 x 2 x 1 cells of the map."""

TALL = SMALL.model_copy(update={"height_m": (-2.0, 6.2)})
"""41 voxels along z, as OpenPCDet has for KITTI: two cells of the map."""


def sweep(seed, num_points=400, reach_m=2.0):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, reach_m, (num_points, 3))
    return np.column_stack([xyz, rng.integers(0, 256, num_points)]).astype(np.float32)


def batch(*seeds, recipe=SMALL, num_points=400):
    return collate([voxelnet_cloud(sweep(seed, num_points), recipe, 1 / 255) for seed in seeds])


def network(recipe=SMALL, seed=0):
    """With statistics and affine parameters of normalisations away from where they start."""
    torch.manual_seed(seed)
    net = VoxelNet(recipe, 0.1)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -0.2, 0.5)
    return net


def in_float64(clouds):
    return replace(clouds, features_VF=clouds.features_VF.double(), positions_R2=clouds.positions_R2.double())


# One convolution.


def dense_kernel(kernel, size):
    """Kernel [x + X y + X Y z, in, out] as [out, in, z, y, x]."""
    return kernel.view(*reversed(size), *kernel.shape[1:]).permute(4, 3, 0, 1, 2)


def to_dense(keys, features, num_sweeps, cells):
    """Features [V, D] on the grid [B, D, z, y, x]."""
    sweep_V, (x, y, z) = split_keys(keys)
    dense = features.new_zeros(num_sweeps, *reversed(cells), features.shape[1])
    return dense.index_put((sweep_V, z, y, x), features).permute(0, 4, 1, 2, 3)


def at_voxels(dense, keys):
    sweep_V, (x, y, z) = split_keys(keys)
    return dense.permute(0, 2, 3, 4, 1)[sweep_V, z, y, x]


def occupied(seed, cells, num_sweeps=2, share=0.1):
    """Sorted keys of random voxels."""
    generator = torch.Generator().manual_seed(seed)
    voxels = (torch.rand(num_sweeps, *cells, generator=generator) < share).nonzero()
    return torch.sort(voxel_keys(voxels.int())).values


def strided_dense(dense, kernel, window):
    return functional.conv3d(
        dense, dense_kernel(kernel, window.size), stride=window.step[::-1], padding=window.margin[::-1]
    )


WINDOWS = {
    "halve": HALVE,
    "without margin in z": HALVE_WITHOUT_HEIGHT_MARGIN,
    "along z": FLATTEN,
    "lopsided": Window(size=(2, 3, 1), step=(3, 1, 2), margin=(1, 0, 0)),
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("cells", [(8, 6, 10), (7, 9, 5), (5, 5, 4)])
def test_strided_convolution_equals_the_dense_one(name, cells):
    window, keys = WINDOWS[name], occupied(sum(cells), cells)
    target_keys, pairs = strided_map(keys, cells, window)
    torch.manual_seed(0)
    features = torch.randn(len(keys), 3, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(window.num_offsets, 3, 4, dtype=torch.float64, requires_grad=True)
    found = convolve(features, kernel, pairs, Scratch())
    dense = strided_dense(to_dense(keys, features, 2, cells), kernel, window)
    assert dense.shape[2:] == torch.Size(reversed(window.target_cells(cells)))
    torch.testing.assert_close(to_dense(target_keys, found, 2, window.target_cells(cells)), dense)

    ones = to_dense(keys, torch.ones(len(keys), 1, dtype=torch.float64), 2, cells)
    met = strided_dense(ones, torch.ones(window.num_offsets, 1, 1, dtype=torch.float64), window)
    assert int((met > 0.5).sum()) == len(target_keys), "a target is wherever a voxel is met"
    assert (target_keys.diff() > 0).all()

    weights = torch.randn_like(found)
    expected = torch.autograd.grad((at_voxels(dense, target_keys) * weights).sum(), (features, kernel))
    gradients = torch.autograd.grad((found * weights).sum(), (features, kernel))
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other)


def test_submanifold_convolution_equals_the_dense_one_at_its_voxels():
    """The border of the grid included: there the dense one sees zeros around it."""
    cells, keys = (4, 5, 3), occupied(0, (4, 5, 3), share=0.5)
    torch.manual_seed(0)
    features = torch.randn(len(keys), 3, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(27, 3, 4, dtype=torch.float64, requires_grad=True)
    found = convolve(features, kernel, submanifold_map(keys, 1), Scratch())
    dense = functional.conv3d(to_dense(keys, features, 2, cells), dense_kernel(kernel, (3, 3, 3)), padding=1)
    torch.testing.assert_close(found, at_voxels(dense, keys))
    weights = torch.randn_like(found)
    expected = torch.autograd.grad((at_voxels(dense, keys) * weights).sum(), (features, kernel))
    gradients = torch.autograd.grad((found * weights).sum(), (features, kernel))
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other)


def test_keys_are_split_into_what_they_were_made_of():
    coordinates = torch.tensor([[0, 0, 0, 0], [3, 1023, 7, 39], [1, 5, 1023, 0]], dtype=torch.int32)
    sweep_V, cells_3V = split_keys(voxel_keys(coordinates))
    assert torch.equal(torch.cat([sweep_V[None], cells_3V]).T, coordinates.long())


# The whole network.


def dense_layer(net, name, grid, mask, window, training):
    """Convolution, normalisation over the occupied cells, ReLU: [B, D, z, y, x], and where there are cells."""
    kernel, norm = net.get_submodule(f"{name}.0").kernel, net.get_submodule(f"{name}.1")
    if window is None:
        grid = functional.conv3d(grid, dense_kernel(kernel, (3, 3, 3)), padding=1)
    else:
        ones = torch.ones(window.num_offsets, 1, 1, dtype=grid.dtype)
        mask = strided_dense(mask.to(grid), ones, window) > 0.5
        grid = strided_dense(grid, kernel, window)
    table = grid.permute(0, 2, 3, 4, 1)[mask[:, 0]]
    if training:
        mean, variance = table.mean(dim=0), table.var(dim=0, correction=0)
    else:
        mean, variance = norm.running_mean, norm.running_var
    shape = (1, -1, 1, 1, 1)
    scale = (norm.weight / (variance + 1e-3).sqrt()).view(shape)
    return torch.relu((grid - mean.view(shape)) * scale + norm.bias.view(shape)) * mask, mask


def densely(net, recipe, clouds, training):
    """The map [B, D Z, Y, X] by dense convolutions."""
    sweep_V, x, y, z = clouds.coordinates_V4.long().unbind(1)
    num_sweeps = int(sweep_V.max()) + 1
    grid = torch.zeros(num_sweeps, *reversed(recipe.cells), 4, dtype=torch.float64)
    grid[sweep_V, z, y, x] = clouds.features_VF
    mask = torch.zeros(num_sweeps, 1, *reversed(recipe.cells), dtype=torch.bool)
    mask[sweep_V, 0, z, y, x] = True
    grid = grid.permute(0, 4, 1, 2, 3)
    layers = [("conv_input", None), ("conv1.0", None)]
    for name, margin in (("conv2", (1, 1, 1)), ("conv3", (1, 1, 1)), ("conv4", (1, 1, 0))):
        layers += [(f"{name}.0", Window((3, 3, 3), (2, 2, 2), margin)), (f"{name}.1", None), (f"{name}.2", None)]
    layers.append(("conv_out", Window((1, 1, 3), (1, 1, 2), (0, 0, 0))))
    for name, window in layers:
        grid, mask = dense_layer(net, name, grid, mask, window, training)
    return grid.flatten(1, 2)


@pytest.mark.parametrize("recipe", [SMALL, TALL], ids=["one cell along z", "two"])
@pytest.mark.parametrize("training", [False, True])
def test_equals_dense_convolutions_in_values_and_gradients(recipe, training):
    net, clouds = network(recipe).double().train(training), in_float64(batch(0, 1, recipe=recipe))
    expected = densely(net, recipe, clouds, training)
    found = net.bev(clouds)
    height = recipe.cells[2] // 16
    assert found.shape == (2, 6 * height, 2, 2)
    assert net.out_channels == 6 * height
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    parameters = list(net.parameters())
    gradients = torch.autograd.grad((found * weights).sum(), parameters)
    for gradient, other in zip(gradients, torch.autograd.grad((expected * weights).sum(), parameters), strict=True):
        torch.testing.assert_close(gradient, other)
    assert all(gradient.any() for gradient in gradients)


def test_the_default_has_the_parameters_of_voxelbackbone8x():
    """Counted by hand: 710 592 in kernels, 1 280 in normalisations."""
    with torch.device("meta"):
        net = VoxelNet(VoxelNetRecipe(), 0.01)
    kernels = 27 * (4 * 16 + 16 * 16 + 16 * 32 + 2 * 32 * 32 + 32 * 64 + 2 * 64 * 64 + 3 * 64 * 64) + 3 * 64 * 128
    assert kernels == 710_592
    assert sum(parameter.numel() for parameter in net.parameters()) == kernels + 1_280 == 711_872
    assert net.out_channels == 128
    assert VoxelNetRecipe().cells == (1024, 1024, 40)


def test_names_are_those_of_openpcdet_and_kernels_need_but_their_axes_moved():
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in VoxelNet(VoxelNetRecipe(), 0.01).state_dict().items()}
    layers = {"conv_input": (27, 4, 16), "conv1.0": (27, 16, 16), "conv_out": (3, 64, 128)}
    for stage, width, channels in (("conv2", 16, 32), ("conv3", 32, 64), ("conv4", 64, 64)):
        layers |= {f"{stage}.0": (27, width, channels)} | {f"{stage}.{one}": (27, channels, channels) for one in (1, 2)}
    expected = {f"{name}.0.kernel": shape for name, shape in layers.items()}
    for name, (*_, channels) in layers.items():
        names = ("weight", "bias", "running_mean", "running_var")
        expected |= {f"{name}.1.{part}": (channels,) for part in names} | {f"{name}.1.num_batches_tracked": ()}
    assert shapes == expected


def test_normalisation_has_openpcdets_eps_and_the_given_momentum():
    norms = [module for module in VoxelNet(SMALL, 0.03).modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert len(norms) == 12
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_permuted_voxels_change_nothing_and_permuted_points_permute_rows(seed):
    net, clouds = network().eval(), batch(seed, seed + 1)
    rng = np.random.default_rng(seed)
    voxels, rows = (torch.from_numpy(rng.permutation(len(table))) for table in (clouds.features_VF, clouds.batch_R))
    mixed = replace(
        clouds,
        coordinates_V4=clouds.coordinates_V4[voxels],
        features_VF=clouds.features_VF[voxels],
        batch_R=clouds.batch_R[rows],
        positions_R2=clouds.positions_R2[rows],
    )
    with torch.no_grad():
        assert torch.equal(net.embed(mixed), net.embed(clouds)[rows])


def test_sweeps_of_a_batch_do_not_see_each_other():
    net = network().eval()
    with torch.no_grad():
        together, alone = net.embed(batch(0, 1, 2)), [net.embed(batch(seed)) for seed in range(3)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_sweep_of_the_batch_may_be_empty(place):
    net = network().eval()
    clouds = [voxelnet_cloud(sweep(seed), SMALL, 1 / 255) for seed in (0, 1)]
    gap = [*clouds[:place], voxelnet_cloud(np.full((3, 4), 50, np.float32), SMALL, 1.0), *clouds[place:]]
    with torch.no_grad():
        torch.testing.assert_close(net.embed(collate(gap)), net.embed(collate(clouds)))
        maps = net.bev(collate(gap))
    # Rows and voxels are what tells how many sweeps there are: an empty one at the end has no map.
    assert len(maps) == (2 if place == 2 else 3)
    assert place == 2 or not maps[place].any()


def test_points_without_voxels_find_zeros():
    """All but one point lie beyond the most voxels of a sweep, and still have a row."""
    recipe = SMALL.model_copy(update={"max_voxels": 1})
    points = np.array([[-3, 0, 0, 9], [3, 0, 0, 9]], np.float32)
    with torch.no_grad():
        rows = network(recipe).eval().embed(collate([voxelnet_cloud(points, recipe, 1.0)]))
    assert rows[0].any()
    assert not rows[1].any()


def test_every_parameter_is_reached_with_the_same_bits_each_time():
    clouds = batch(0, 1)

    def gradients(net):
        output = net.embed(clouds)
        output.square().mean().backward()
        return [output.detach(), *(parameter.grad for parameter in net.parameters())]

    net = network().train()
    with deterministic():
        first, second = gradients(copy.deepcopy(net)), gradients(copy.deepcopy(net))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(tensor.isfinite().all() and tensor.any() for tensor in first)


# The map.


def test_a_dense_map_holds_its_cells_channel_by_channel():
    cells = torch.tensor([[0, 2, 1, 0], [1, 0, 0, 1]], dtype=torch.int32)
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    maps = densify(SparseMap(voxel_keys(cells), features, (3, 2, 2)), 3)
    assert maps.shape == (3, 2 * 2, 2, 3)
    expected = torch.zeros(3, 2, 2, 2, 3)  # sweep, channel, z, y, x
    expected[0, :, 0, 1, 2] = features[0]
    expected[1, :, 1, 0, 0] = features[1]
    assert torch.equal(maps, expected.flatten(1, 2))


def by_hand(maps, sweep_R, positions):
    rows = []
    for one, (x, y) in zip(sweep_R.tolist(), positions.tolist(), strict=True):
        x, y = min(max(x, 0), maps.shape[3] - 1), min(max(y, 0), maps.shape[2] - 1)
        total = 0
        for column in range(maps.shape[3]):
            for row in range(maps.shape[2]):
                total = total + maps[one, :, row, column] * max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
        rows.append(total)
    return torch.stack(rows)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), shape=st.tuples(st.integers(1, 4), st.integers(1, 4)), whole=st.booleans())
def test_samples_are_bilinear(seed, shape, whole):
    """Whole positions lie on cells; some positions lie outside of the map."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 3, *shape, dtype=torch.float64, generator=generator)
    sweep_R = torch.randint(0, 2, (20,), generator=generator)
    positions = torch.rand(20, 2, dtype=torch.float64, generator=generator) * 6 - 1
    positions = positions.round() if whole else positions
    torch.testing.assert_close(sample_map(maps, sweep_R, positions), by_hand(maps, sweep_R, positions))


def test_samples_and_their_gradient_equal_grid_sample():
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    positions = torch.rand(2, 30, 2, dtype=torch.float64) * torch.tensor([9, 7]) - 1
    unit = positions / torch.tensor([6, 4]) * 2 - 1
    dense = functional.grid_sample(maps, unit[:, None], padding_mode="border", align_corners=True)[:, :, 0]
    expected = dense.permute(0, 2, 1).flatten(0, 1)
    found = sample_map(maps, torch.arange(2).repeat_interleave(30), positions.flatten(0, 1))
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), maps), torch.autograd.grad((expected * weights).sum(), maps)
    )


def test_points_find_the_cells_that_their_voxels_lead_to():
    """A voxel in the middle of a cell's window reaches that cell; the point in it reads there, half a voxel off."""
    net = network().eval()
    points = np.array([[0.2, 0.2, 0.0, 100]], np.float32)  # voxel 8 along x and y: cell 1
    clouds = collate([voxelnet_cloud(points, SMALL, 1.0)])
    position = net._map_positions(clouds.positions_R2)
    torch.testing.assert_close(position, torch.tensor([[1 + 0.5 / 8, 1 + 0.5 / 8]]))
    with torch.no_grad():
        maps = net.bev(clouds)
        found = net.embed(clouds)
    assert maps[0, :, 1, 1].any()
    torch.testing.assert_close(found, by_hand(maps, clouds.batch_R, position.clamp(max=1)))


def test_heads_before_sampling_leave_short_vectors_next_to_empty_cells():
    """As the reference code does it: unit vectors where there are voxels, zeros elsewhere, bilinear, not unit again."""
    recipe = SMALL.model_copy(update={"radius_m": 25.6})
    clouds = in_float64(collate([voxelnet_cloud(sweep(seed, 15, 6.0), recipe, 1 / 255) for seed in (0, 1)]))
    net = network(recipe).double().eval()
    kernel = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    rows, embedded = net.embed_with(clouds, {"head": lambda features: functional.normalize(features @ kernel, dim=1)})
    torch.testing.assert_close(rows, net.embed(clouds))
    maps = net.bev(clouds)
    there = maps.abs().sum(dim=1, keepdim=True) > 0
    headed = functional.normalize(torch.einsum("bdyx,de->beyx", maps, kernel), dim=1) * there
    expected = by_hand(headed, clouds.batch_R, net._map_positions(clouds.positions_R2))
    torch.testing.assert_close(embedded["head"], expected)
    length = embedded["head"].norm(dim=1)
    assert length.max() <= 1 + 1e-9
    assert length.min() < 0.9


def test_heads_before_sampling_need_one_cell_along_z():
    with pytest.raises(UsageError, match="2 cells along z, and heads before sampling take one"):
        network(TALL).embed_with(batch(0, recipe=TALL), {})


# Clouds.


def test_a_cloud_holds_means_of_points_in_range():
    recipe = SMALL.model_copy(update={"max_points_per_voxel": 2})
    points = np.array(
        [
            [0.1, 0.1, 0.1, 10],
            [0.3, 0.1, 0.1, 30],
            [3.0, 3.0, 0.0, 1],  # beyond the radius
            [0.2, 0.2, 0.1, 90],  # the third of its voxel
            [-3.2, 0.0, -2.0, 7],  # on the circle and on the lower face
            [0.0, 3.2, 0.0, 8],  # on the circle, at the far side of the square: no voxel
            [0.0, 0.0, 3.0, 9],  # on the upper face: no voxel
            [0.0, 0.0, 3.01, 9],
        ],
        np.float32,
    )
    recipe = recipe.model_copy(update={"radius_m": float(np.float32(3.2))})
    cloud = voxelnet_cloud(points, recipe, 0.5)
    assert cloud.row_N.tolist() == [0, 1, -1, 2, 3, 4, 5, -1]
    assert np.array_equal(cloud.positions_R2, points[cloud.row_N >= 0, :2])
    assert cloud.coordinates_V3.tolist() == [[8, 8, 10], [0, 8, 0]]
    np.testing.assert_allclose(cloud.features_VF, [[0.2, 0.1, 0.1, 10], [-3.2, 0, -2, 3.5]], rtol=1e-6)
    assert cloud.num_rows == 6
    assert cloud.neighbours_VK is None


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 1000),
    num_points=st.integers(0, 300),
    most_voxels=st.integers(1, 40),
    most_points=st.integers(1, 4),
)
def test_voxels_equal_a_dictionary(seed, num_points, most_voxels, most_points):
    recipe = SMALL.model_copy(update={"max_voxels": most_voxels, "max_points_per_voxel": most_points})
    points = sweep(seed, num_points, reach_m=1.0)
    members = {}
    for point in points.astype(np.float64):
        if np.hypot(*point[:2]) <= 3.2 and -2 <= point[2] < 3:
            cell = tuple(
                int(np.floor((value - low) / size))
                for value, low, size in zip(point, (-3.2, -3.2, -2), (0.4, 0.4, 0.2), strict=False)
            )
            if cell in members or len(members) < most_voxels:
                members.setdefault(cell, []).append(point * [1, 1, 1, 0.25])
    cloud = voxelnet_cloud(points, recipe, 0.25)
    assert [tuple(cell) for cell in cloud.coordinates_V3.tolist()] == list(members)
    expected = np.array([np.mean(group[:most_points], axis=0) for group in members.values()]).reshape(-1, 4)
    np.testing.assert_allclose(cloud.features_VF, expected, rtol=1e-5, atol=1e-6)
    assert cloud.coordinates_V3.dtype == np.int32
    assert cloud.features_VF.dtype == np.float32


# What is refused.


def test_wrong_clouds_are_named():
    net, clouds = network().eval(), batch(0)
    with pytest.raises(UsageError, match="no positions: prepare them with a recipe of kind voxelnet"):
        net.embed(replace(clouds, positions_R2=None))
    with pytest.raises(UsageError, match=r"features are \(\d+, 1\) and must be \(\d+, 4\)"):
        net.embed(replace(clouds, features_VF=clouds.features_VF[:, :1]))
    with pytest.raises(DataError, match=r"and the grid is \(16, 16, 25\)"):
        net.embed(replace(clouds, coordinates_V4=clouds.coordinates_V4 + torch.tensor([0, 16, 0, 0]).int()))
    with pytest.raises(DataError, match="duplicates"):
        net.embed(replace(clouds, coordinates_V4=torch.zeros_like(clouds.coordinates_V4)))
    with pytest.raises(DataError, match="no voxel"):
        net.embed(collate([voxelnet_cloud(np.full((3, 4), 50, np.float32), SMALL, 1.0)]))
    with pytest.raises(DataError, match="not finite"):
        voxelnet_cloud(np.full((3, 4), np.nan, np.float32), SMALL, 1.0)


def test_voxels_under_the_ceiling_alone_reach_no_cell_of_the_map():
    """Of 40 voxels along z the fourth convolution, without a margin, leaves the topmost out."""
    recipe = SMALL.model_copy(update={"height_m": (-5.0, 3.0)})
    points = np.array([[0, 0, 2.95, 1]], np.float32)
    with pytest.raises(DataError, match="no voxel of the batch reaches the map"):
        network(recipe).eval().embed(collate([voxelnet_cloud(points, recipe, 1.0)]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"voxel_size": (0.1, 0.1, 0.4)}, r"has \(1024, 1024, 20\) voxels: .* 25 along z"),
        ({"height_m": (3.0, -5.0)}, "along z"),
        ({"voxel_size": (0.1, 0.0, 0.2)}, "above zero"),
        ({"widths": (16, 32, 64, 0, 128)}, "above zero"),
        ({"radius_m": 0.01}, "at least one along x and y"),
        ({"widths": (16, 32)}, "widths"),
    ],
)
def test_recipes_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=message):
        VoxelNetRecipe(**wrong)
