"""WaffleIron: its layers against loops over points in float64, and what a resumed training needs of it."""

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
from olivine.models.network_recipe import WaffleIronRecipe
from olivine.models.waffleiron import PLANES, Projection, WaffleIron, project
from olivine.models.waffleiron_cloud import waffleiron_cloud
from olivine.points.neighbours import nearest_neighbours
from olivine.training.determinism import deterministic

SMALL = WaffleIronRecipe(
    width=6, depth=4, field_of_view=((-6.0, -4.0, -2.0), (6.0, 4.0, 2.0)), cell_m=1.5, neighbours=3, drop_path=0.0
)


def sweep(seed, num_points=120, reach_m=4.0):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, reach_m, (num_points, 3)) * [1, 1, 0.4]
    return np.column_stack([xyz, rng.integers(0, 256, num_points)]).astype(np.float32)


def batch(*seeds, recipe=SMALL, num_points=120):
    return collate([waffleiron_cloud(sweep(seed, num_points), recipe, 1 / 255) for seed in seeds])


def network(recipe=SMALL, seed=0):
    """With statistics and affine parameters of normalisations away from where they start."""
    torch.manual_seed(seed)
    net = WaffleIron(recipe, 0.1, seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.LayerNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return net


def in_float64(clouds):
    return replace(clouds, features_VF=clouds.features_VF.double())


# The same network, written point by point.


def normalise(state, name, table, training):
    """Over all rows of [M, D] in training, else by the running statistics; over channels where there are none."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    if f"{name}.running_mean" not in state:
        mean, variance = table.mean(axis=1, keepdims=True), table.var(axis=1, keepdims=True)
    elif training:
        mean, variance = table.mean(axis=0), table.var(axis=0)
    else:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return (table - mean) / np.sqrt(variance + 1e-5) * weight + bias


def embed_points(state, clouds, training):
    features = normalise(state, "embedding.norm", clouds.features_VF.numpy(), training)
    neighbours = clouds.neighbours_VK.numpy()
    around = np.concatenate([features[row] - features[point] for point, row in enumerate(neighbours)])
    hidden = normalise(state, "embedding.conv2.0", around, training) @ state["embedding.conv2.1.weight"].T
    hidden = np.maximum(normalise(state, "embedding.conv2.2", hidden, training), 0)
    local = (hidden @ state["embedding.conv2.4.weight"].T).reshape(*neighbours.shape, -1).max(axis=1)
    own = features @ state["embedding.conv1.weight"].T + state["embedding.conv1.bias"]
    both = np.concatenate([own, local], axis=1)
    return both @ state["embedding.final.weight"].T + state["embedding.final.bias"]


def depthwise(state, name, grid_DXY):
    """3 x 3, zeros around, one kernel a channel."""
    padded = np.pad(grid_DXY, ((0, 0), (1, 1), (1, 1)))
    kernel, (_, num_x, num_y) = state[f"{name}.weight"][:, 0], grid_DXY.shape
    total = np.zeros_like(grid_DXY) + state[f"{name}.bias"][:, None, None]
    for dx in range(3):
        for dy in range(3):
            total += kernel[:, dx, dy, None, None] * padded[:, dx : dx + num_x, dy : dy + num_y]
    return total


def mix_space(state, name, tokens, coordinates, axes, shape, training):
    tokens = normalise(state, f"{name}.norm", tokens, training)
    update = np.empty_like(tokens)
    for one in np.unique(coordinates[:, 0]):
        members = {}
        for point in np.flatnonzero(coordinates[:, 0] == one):
            members.setdefault(tuple(coordinates[point, [1 + axis for axis in axes]]), []).append(point)
        grid = np.zeros((tokens.shape[1], *shape))
        for cell, points in members.items():
            grid[:, *cell] = tokens[points].mean(axis=0)
        grid = depthwise(state, f"{name}.ffn.2", np.maximum(depthwise(state, f"{name}.ffn.0", grid), 0))
        for cell, points in members.items():
            update[points] = grid[:, *cell]
    return update * state[f"{name}.scale"]


def mix_channels(state, name, tokens, training):
    tokens = normalise(state, f"{name}.norm", tokens, training)
    hidden = np.maximum(tokens @ state[f"{name}.mlp.0.weight"].T + state[f"{name}.mlp.0.bias"], 0)
    return (hidden @ state[f"{name}.mlp.2.weight"].T + state[f"{name}.mlp.2.bias"]) * state[f"{name}.scale"]


def by_loops(net, recipe, clouds, training):
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    coordinates = clouds.coordinates_V4.numpy()
    tokens = embed_points(state, clouds, training)
    for depth in range(recipe.depth):
        axes = ((0, 1), (0, 2), (1, 2))[depth % 3]
        shape = tuple(recipe.cells[axis] for axis in axes)
        tokens = tokens + mix_space(state, f"spatial_mix.{depth}", tokens, coordinates, axes, shape, training)
        tokens = tokens + mix_channels(state, f"channel_mix.{depth}", tokens, training)
    return tokens


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("training", [False, True])
def test_equals_loops_over_points_in_float64(norm, training):
    recipe = SMALL.model_copy(update={"norm": norm})
    net, clouds = network(recipe).double(), in_float64(batch(0, 1, 2, recipe=recipe))
    expected = by_loops(copy.deepcopy(net), recipe, clouds, training)
    with torch.no_grad():
        found = net.train(training).embed(clouds)
    assert found.shape == (len(clouds.coordinates_V4), 6)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-10)


# Projections.


def projection(seed=0, num_points=40, shape=(3, 4), num_sweeps=2):
    rng = np.random.default_rng(seed)
    cell = torch.from_numpy(rng.integers(0, num_sweeps * shape[0] * shape[1] - 3, num_points))
    return Projection(cell, num_sweeps, shape)


def test_planes_are_those_of_the_axes():
    coordinates = batch(0, 1).coordinates_V4
    for found, axes in zip(project(coordinates, SMALL.cells, 2), PLANES, strict=True):
        columns = coordinates[:, [0, *(1 + axis for axis in axes)]].tolist()
        sizes = [SMALL.cells[axis] for axis in axes]
        assert found.shape == tuple(sizes)
        assert found.cell_R.tolist() == [(sweep * sizes[0] + row) * sizes[1] + column for sweep, row, column in columns]


def test_a_map_of_means():
    found, features = projection(), torch.randn(40, 5, dtype=torch.float64)
    maps = found.flatten(features)
    assert maps.shape == (2, 5, 3, 4)
    table = maps.permute(0, 2, 3, 1).reshape(-1, 5)
    for cell in range(24):
        mine = found.cell_R == cell
        expected = features[mine].mean(dim=0) if mine.any() else torch.zeros(5, dtype=torch.float64)
        torch.testing.assert_close(table[cell], expected)
    assert (torch.bincount(found.cell_R, minlength=24) == 0).any()


def test_there_and_back_are_identities_of_means_and_maps():
    found, features = projection(1), torch.randn(40, 5, dtype=torch.float64)
    means = found.inflate(found.flatten(features))
    torch.testing.assert_close(found.inflate(found.flatten(means)), means, msg="a projection")
    maps = found.flatten(features)
    torch.testing.assert_close(found.flatten(found.inflate(maps)), maps)
    constant = torch.full((40, 2), 3.5)
    torch.testing.assert_close(found.inflate(found.flatten(constant)), constant)


def test_gradients_of_projections():
    found = projection(2, num_points=9, shape=(2, 2))
    features = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    maps = torch.randn(2, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(found.flatten, features)
    assert torch.autograd.gradcheck(found.inflate, maps)


# The whole network.


def test_the_default_has_the_parameters_of_wi_48_384():
    """Counted by hand: embedding 447 764, and 48 layers of 8 832 (spatial) and 296 832 (channels)."""
    with torch.device("meta"):
        net = WaffleIron(WaffleIronRecipe(), 0.1, 0)
    assert sum(parameter.numel() for parameter in net.parameters()) == 447_764 + 48 * (8_832 + 296_832) == 15_119_636
    assert net.out_channels == 384


def test_names_and_shapes_are_those_of_the_reference_but_for_axes_of_length_one():
    """Names of valeoai/WaffleIron and ScaLR behind the prefixes `embed` (here `embedding`) and `waffleiron`."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in WaffleIron(SMALL, 0.1, 0).state_dict().items()}
    expected = {
        "embedding.norm.running_mean": (5,),
        "embedding.conv1.weight": (6, 5),
        "embedding.conv2.1.weight": (6, 5),
        "embedding.conv2.4.weight": (6, 6),
        "embedding.final.weight": (6, 12),
        "spatial_mix.3.norm.weight": (6,),
        "spatial_mix.3.ffn.0.weight": (6, 1, 3, 3),
        "spatial_mix.3.ffn.2.bias": (6,),
        "spatial_mix.3.scale": (6,),
        "channel_mix.0.mlp.2.weight": (6, 6),
        "channel_mix.0.scale": (6,),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert "embedding.conv2.1.bias" not in shapes


def test_layer_scale_starts_within_one():
    scale = network(WaffleIronRecipe(width=1000, depth=1)).spatial_mix[0].scale
    assert 0.95 < scale.abs().max() <= 1
    assert scale.min() < -0.9


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_permuted_points_give_permuted_rows(seed):
    net, clouds = network().eval(), batch(seed, seed + 1)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(clouds.batch_R)))
    back = torch.argsort(order)
    mixed = replace(
        clouds,
        coordinates_V4=clouds.coordinates_V4[order],
        features_VF=clouds.features_VF[order],
        batch_R=clouds.batch_R[order],
        neighbours_VK=back[clouds.neighbours_VK][order],
    )
    with torch.no_grad():
        torch.testing.assert_close(net.embed(mixed), net.embed(clouds)[order], rtol=1e-4, atol=1e-5)


def test_sweeps_of_a_batch_do_not_see_each_other():
    net = network().eval()
    with torch.no_grad():
        together = net.embed(batch(0, 1, 2))
        alone = [net.embed(batch(seed)) for seed in range(3)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-4, atol=1e-5)


def test_a_sweep_of_the_batch_may_be_empty():
    net = network().eval()
    empty = waffleiron_cloud(np.full((3, 4), 50, np.float32), SMALL, 1.0)
    clouds = [waffleiron_cloud(sweep(seed), SMALL, 1 / 255) for seed in (0, 1)]
    with torch.no_grad():
        torch.testing.assert_close(net.embed(collate([clouds[0], empty, clouds[1]])), net.embed(collate(clouds)))


def gradients(net, clouds):
    net.zero_grad()
    output = net.embed(clouds)
    output.square().mean().backward()
    return [output.detach(), *(parameter.grad.clone() for parameter in net.parameters())]


def test_every_parameter_is_reached_with_the_same_bits_each_time():
    net, clouds = network().train(), batch(0, 1)
    with deterministic():
        first, second = gradients(copy.deepcopy(net), clouds), gradients(copy.deepcopy(net), clouds)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(tensor.isfinite().all() for tensor in first)
    assert all(tensor.any() for tensor in first)


# What is skipped in training.

DROPPING = SMALL.model_copy(update={"drop_path": 0.5})


def test_skipped_mixings_are_those_of_the_draw():
    net, clouds = network(DROPPING).train(), batch(0, 1, recipe=DROPPING)
    draw = net._draw(2)
    assert draw.shape == (4, 2, 2)
    assert set(draw.unique().tolist()) == {0.0, 2.0}
    expected = copy.deepcopy(net)
    found = net.embed(clouds)
    tokens = expected.embedding(clouds.features_VF, clouds.neighbours_VK)
    grids = project(clouds.coordinates_V4, DROPPING.cells, 2)
    for depth in range(4):
        for part, mix in enumerate((expected.spatial_mix[depth], expected.channel_mix[depth])):
            update = mix(tokens, grids[depth % 3]) if part == 0 else mix(tokens)
            factors = torch.tensor([draw[depth, part, sweep] for sweep in clouds.batch_R.tolist()]).float()
            tokens = tokens + factors[:, None] * update
    torch.testing.assert_close(found, tokens)


def test_draws_have_the_probability_and_the_mean():
    recipe = WaffleIronRecipe(width=1, depth=40, drop_path=0.2)
    draw = WaffleIron(recipe, 0.1, seed=3).train()._draw(100)
    assert (draw == 0).double().mean().item() == pytest.approx(0.2, abs=0.02)
    assert draw.mean().item() == pytest.approx(1, abs=0.02)


def test_nothing_is_skipped_in_prediction():
    assert torch.equal(network(DROPPING).eval()._draw(2), torch.ones(4, 2, 2))
    assert (network(SMALL).train()._draw(2) == 1).all()


def test_draws_follow_from_seed_and_step_and_go_on_after_a_resume():
    torch.manual_seed(0)
    net, clouds = network(DROPPING).train(), batch(0, 1, recipe=DROPPING)
    before = torch.get_rng_state()
    steps = [net.embed(clouds).detach() for _ in range(3)]
    assert torch.equal(torch.get_rng_state(), before), "torch's generator is left alone"
    assert not torch.equal(net._draw(2), network(DROPPING, seed=1).train()._draw(2))

    again = network(DROPPING).train()
    first = again.embed(clouds).detach()
    resumed = WaffleIron(DROPPING, 0.1, 0).train()
    resumed.load_state_dict(again.state_dict(), strict=True)
    assert torch.equal(first, steps[0])
    torch.manual_seed(99)
    assert all(torch.equal(resumed.embed(clouds), step) for step in steps[1:])
    draws = [WaffleIron._draw(net, 2)]
    net.embed(clouds)
    assert not torch.equal(draws[0], net._draw(2)), "each step draws anew"


def test_the_draw_of_a_sweep_is_its_own(monkeypatch):
    net = network(DROPPING).train()
    alone, together = net._draw(1), net._draw(3)
    assert torch.equal(together[:, :, :1], alone)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    assert not torch.equal(net._draw(3), together), "processes differ"


# Clouds.


def test_a_cloud_holds_the_first_point_of_each_voxel_in_view():
    points = np.array(
        [
            [0.01, 0.01, 0.01, 51],  # kept
            [6.0, 0.0, 0.0, 1],  # on the far face
            [-6.0, -4.0, -2.0, 102],  # on the near one: kept
            [0.02, 0.03, 0.04, 255],  # in the first point's voxel
            [5.999, 3.999, 1.999, 0],  # kept
            [0.0, 0.0, 2.5, 0],  # too high
        ],
        np.float32,
    )
    cloud = waffleiron_cloud(points, SMALL, 1 / 255)
    assert SMALL.cells == (8, 5, 2)
    assert cloud.row_N.tolist() == [0, -1, 1, 0, 2, -1]
    assert cloud.coordinates_V3.tolist() == [[4, 2, 1], [0, 0, 0], [7, 4, 1]]
    distances = [np.sqrt(3e-4), np.sqrt(56), np.linalg.norm(points[4, :3])]
    intensities = [0.2, 0.4, 0]
    expected = np.column_stack([intensities, points[[0, 2, 4], :3], distances])
    np.testing.assert_allclose(cloud.features_VF, expected, rtol=1e-6)
    assert cloud.neighbours_VK.tolist() == [[2, 1, 0], [0, 2, 1], [0, 1, 2]]
    assert cloud.num_rows == 3
    assert cloud.positions_R2 is None


def test_cells_are_stretched_over_the_field_of_view():
    """100 m hold 166 cells of 0.6 m, each 0.6024 m wide."""
    assert WaffleIronRecipe().cells == (166, 166, 16)
    assert WaffleIronRecipe(cell_m=0.4, field_of_view=((-50, -50, -3), (50, 50, 2))).cells == (250, 250, 12)
    assert WaffleIronRecipe(cell_m=0.5, field_of_view=((-64, -64, -8), (64, 64, 8))).cells == (256, 256, 32)
    points = np.array([[-50, 49.99, 0, 0], [100 / 166 - 50 - 0.01, 0, 4.99, 0], [100 / 166 - 50 + 0.01, 0, -5, 0]])
    cells = waffleiron_cloud(points.astype(np.float32), WaffleIronRecipe(), 1.0).coordinates_V3
    assert cells.tolist() == [[0, 165, 8], [0, 83, 15], [1, 83, 0]]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_points=st.integers(0, 200), most=st.integers(2, 60))
def test_a_training_cloud_is_a_ball_of_the_whole_one(seed, num_points, most):
    recipe = SMALL.model_copy(update={"max_points": most})
    points = sweep(seed % 1000, num_points)
    whole = waffleiron_cloud(points, recipe, 1.0)
    part = waffleiron_cloud(points, recipe, 1.0, np.random.default_rng(seed))
    assert part.num_rows == min(whole.num_rows, most)
    assert len(part.neighbours_VK) == part.num_rows
    kept = np.unique(whole.row_N[part.row_N >= 0])
    assert len(kept) == part.num_rows
    assert np.array_equal(part.features_VF, whole.features_VF[kept])
    seen = part.row_N >= 0
    assert np.array_equal(whole.row_N[seen], kept[part.row_N[seen]])
    if 0 < part.num_rows < whole.num_rows:
        xyz = whole.features_VF[:, 1:4].astype(np.float64)
        squared = ((xyz[kept][:, None] - xyz) ** 2).sum(axis=2)
        outside = np.setdiff1d(np.arange(whole.num_rows), kept)
        is_centre = squared[:, kept].max(axis=1) <= squared[:, outside].min(axis=1) + 1e-5
        assert is_centre.any(), "there is a kept point that all kept ones are nearest to"
    same = waffleiron_cloud(points, recipe, 1.0, np.random.default_rng(seed))
    assert np.array_equal(part.row_N, same.row_N)


def test_neighbours_are_those_of_kept_points():
    cloud = waffleiron_cloud(sweep(0), SMALL, 1.0)
    assert np.array_equal(cloud.neighbours_VK, nearest_neighbours(cloud.features_VF[:, 1:4].astype(np.float64), 3))


# What is refused.


def test_wrong_clouds_are_named():
    net, clouds = network().eval(), batch(0)
    with pytest.raises(UsageError, match="no neighbours: prepare them with a recipe of kind waffleiron"):
        net.embed(replace(clouds, neighbours_VK=None))
    with pytest.raises(UsageError, match=r"features are \(\d+, 1\) and must be \(\d+, 5\)"):
        net.embed(replace(clouds, features_VF=clouds.features_VF[:, :1]))
    with pytest.raises(DataError, match=r"and the grid is \(8, 5, 2\)"):
        net.embed(replace(clouds, coordinates_V4=clouds.coordinates_V4 + torch.tensor([0, 0, 0, 1]).int()))
    with pytest.raises(DataError, match=r"and the grid is"):
        net.embed(replace(clouds, coordinates_V4=clouds.coordinates_V4 - torch.tensor([0, 1, 0, 0]).int()))
    with pytest.raises(DataError, match="no voxel"):
        net.embed(collate([waffleiron_cloud(np.full((3, 4), 50, np.float32), SMALL, 1.0)]))
    with pytest.raises(DataError, match="not finite"):
        waffleiron_cloud(np.full((3, 4), np.nan, np.float32), SMALL, 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"field_of_view": ((0, 0, 0), (1, 1, 0.5))},
        {"field_of_view": ((0, 0, 3), (9, 9, -3))},
        {"norm": "group"},
        {"drop_path": 1.0},
        {"max_points": 1},
    ],
)
def test_recipes_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=r"field_of_view|norm|drop_path|max_points"):
        WaffleIronRecipe(**wrong)


def test_float32_conv_agrees_with_the_dense_one():
    """Maps of means lie in memory channel by channel; the convolution must not mind."""
    net, found = network(), projection(3, 40, (3, 4))
    maps = found.flatten(torch.randn(40, 6))
    layer = net.spatial_mix[0].ffn[0]
    expected = functional.conv2d(maps.contiguous(), layer.weight, layer.bias, padding=1, groups=6)
    torch.testing.assert_close(layer(maps), expected)
