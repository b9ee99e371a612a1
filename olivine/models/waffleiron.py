"""WaffleIron: a 3D backbone of dense layers alone, which mixes points on 2D grids (Puy et al., ICCV 2023, section 3).

Modules have the names of the reference code behind its prefixes `embed` and `waffleiron`; its 1 x 1 convolutions are
linear layers here, so weights differ by axes of length one.

Shapes: R kept points, K neighbours, D channels, C occupied or empty cells of a grid, B sweeps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from olivine.errors import UsageError
from olivine.models.backbone import Backbone, check_grid
from olivine.models.cloud import CloudBatch
from olivine.models.network_recipe import WaffleIronRecipe
from olivine.models.sparse.convolution import sum_bags
from olivine.models.sparse.maps import group_rows
from olivine.models.waffleiron_cloud import NUM_FEATURES

PLANES = ((0, 1), (0, 2), (1, 2))
"""Axes of the grid of each layer in turn: projections along z, y, x (reference configuration: dim_proj)."""


class Projection:
    """Points on a 2D grid: the cell of each, and how to go there and back.

    Both ways are sums over the points of a cell in a fixed order, so that gradients, too, come out the same each time.
    """

    def __init__(self, cell_R: Tensor, num_sweeps: int, shape: tuple[int, int]) -> None:
        self.cell_R, self.shape, self.num_sweeps = cell_R, shape, num_sweeps
        self.bags = group_rows(cell_R, num_sweeps * shape[0] * shape[1])
        self.count_R1 = self.bags.starts.diff().index_select(0, cell_R)[:, None]

    def flatten(self, features_RD: Tensor) -> Tensor:
        """Mean over the points of each cell, zero where there is none: [B, D, X, Y]."""
        table_CD: Tensor = _Average.apply(features_RD, self)
        return table_CD.view(self.num_sweeps, *self.shape, -1).permute(0, 3, 1, 2)

    def inflate(self, maps_BDXY: Tensor) -> Tensor:
        """What each point finds in its cell: [R, D]."""
        table_CD = maps_BDXY.permute(0, 2, 3, 1).reshape(-1, maps_BDXY.shape[1])
        features_RD: Tensor = _Gather.apply(table_CD, self)
        return features_RD


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features_RD: Tensor, projection: Projection) -> Tensor:
        ctx.projection = projection
        return sum_bags(features_RD / projection.count_R1, projection.bags)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_CD: Tensor) -> tuple[Tensor, None]:
        projection: Projection = ctx.projection
        return gradient_CD.index_select(0, projection.cell_R) / projection.count_R1, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_CD: Tensor, projection: Projection) -> Tensor:
        ctx.projection = projection
        return table_CD.index_select(0, projection.cell_R)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_RD: Tensor) -> tuple[Tensor, None]:
        return sum_bags(gradient_RD.contiguous(), ctx.projection.bags), None


class Embedding(nn.Module):
    """The token of each point, from its own features and from how its neighbours differ from it."""

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(NUM_FEATURES, momentum=momentum)
        self.conv1 = nn.Linear(NUM_FEATURES, width)
        self.conv2 = nn.Sequential(
            nn.BatchNorm1d(NUM_FEATURES, momentum=momentum),
            nn.Linear(NUM_FEATURES, width, bias=False),
            nn.BatchNorm1d(width, momentum=momentum),
            nn.ReLU(inplace=True),
            nn.Linear(width, width, bias=False),
        )
        self.final = nn.Linear(2 * width, width)

    def forward(self, features_RF: Tensor, neighbours_RK: Tensor) -> Tensor:
        """Tokens [R, D]; the neighbourhood enters by its greatest value in each channel."""
        features_RF = self.norm(features_RF)
        around_RKF = features_RF.index_select(0, neighbours_RK.flatten()).view(*neighbours_RK.shape, -1)
        local = self.conv2((around_RKF - features_RF[:, None]).flatten(0, 1)).view(*neighbours_RK.shape, -1)
        token_RD: Tensor = self.final(torch.cat([self.conv1(features_RF), local.amax(dim=1)], dim=1))
        return token_RD


class SpatialMix(nn.Module):
    """Two depth-wise 3 x 3 convolutions on a 2D grid of means, between projections there and back."""

    def __init__(self, recipe: WaffleIronRecipe, momentum: float) -> None:
        super().__init__()
        width = recipe.width
        self.norm = _norm(recipe, momentum)
        self.ffn = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
        )
        self.scale = _layer_scale(width)

    def forward(self, token_RD: Tensor, projection: Projection) -> Tensor:
        """What is added to the tokens."""
        return projection.inflate(self.ffn(projection.flatten(self.norm(token_RD)))) * self.scale


class ChannelMix(nn.Module):
    """A perceptron with one hidden layer, on each point by itself."""

    def __init__(self, recipe: WaffleIronRecipe, momentum: float) -> None:
        super().__init__()
        self.norm = _norm(recipe, momentum)
        self.mlp = nn.Sequential(
            nn.Linear(recipe.width, recipe.width), nn.ReLU(inplace=True), nn.Linear(recipe.width, recipe.width)
        )
        self.scale = _layer_scale(recipe.width)

    def forward(self, token_RD: Tensor) -> Tensor:
        """What is added to the tokens."""
        update_RD: Tensor = self.mlp(self.norm(token_RD)) * self.scale
        return update_RD


class WaffleIron(Backbone):
    """Kept points in, one feature a point out (`out_channels` is the width).

    Method: an embedding, then `depth` times a spatial mixing on the next of three 2D grids and a channel mixing, each
    behind a normalisation and before LayerScale, added to its input. In training a sweep skips each of them with the
    probability `drop_path`; what is not skipped is scaled up to the same mean.

    What is skipped follows from `seed`, the number of batches seen in training and the process: batch normalisation
    keeps that number in the state of the model, so a resumed training goes on with the same draws.
    """

    def __init__(self, recipe: WaffleIronRecipe, bn_momentum: float, seed: int) -> None:
        super().__init__()
        self._recipe, self._seed = recipe, seed
        self.out_channels = recipe.width
        self.embedding = Embedding(recipe.width, bn_momentum)
        self.spatial_mix = nn.ModuleList(SpatialMix(recipe, bn_momentum) for _ in range(recipe.depth))
        self.channel_mix = nn.ModuleList(ChannelMix(recipe, bn_momentum) for _ in range(recipe.depth))

    def embed(self, clouds: CloudBatch) -> Tensor:
        """One feature a kept point.

        Raises UsageError for clouds of another kind of network, DataError for no point or cells outside of the grids.
        """
        check_grid(clouds, NUM_FEATURES, self._recipe.cells)
        if clouds.neighbours_VK is None:
            raise UsageError("these clouds have no neighbours: prepare them with a recipe of kind waffleiron.")
        num_sweeps = int(clouds.batch_R.max()) + 1
        factors_DMB = self._draw(num_sweeps).to(clouds.features_VF)
        token_RD: Tensor = self.embedding(clouds.features_VF, clouds.neighbours_VK)
        projections = project(clouds.coordinates_V4, self._recipe.cells, num_sweeps)
        for depth, (spatial, channel) in enumerate(zip(self.spatial_mix, self.channel_mix, strict=True)):
            spatial_R1, channel_R1 = factors_DMB[depth].index_select(1, clouds.batch_R)[:, :, None]
            token_RD = torch.addcmul(token_RD, spatial(token_RD, projections[depth % len(PLANES)]), spatial_R1)
            token_RD = torch.addcmul(token_RD, channel(token_RD), channel_R1)
        return token_RD

    def _draw(self, num_sweeps: int) -> Tensor:
        """Factors of the two mixings of each layer and sweep, [depth, 2, B]: ones unless in training."""
        probability = self._recipe.drop_path
        if not self.training:
            return torch.ones(self._recipe.depth, 2, num_sweeps)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        num_batches = self.embedding.norm.num_batches_tracked
        assert num_batches is not None
        rng = np.random.default_rng((self._seed, int(num_batches), rank))
        kept_DMB = rng.random((num_sweeps, self._recipe.depth, 2)).transpose(1, 2, 0) >= probability
        return torch.from_numpy(kept_DMB / (1 - probability))


def project(coordinates_V4: Tensor, cells: tuple[int, int, int], num_sweeps: int) -> list[Projection]:
    """The points on the grid of each of `PLANES`."""
    sweep_R, *axes = coordinates_V4.long().unbind(1)
    return [
        Projection(
            (sweep_R * cells[first] + axes[first]) * cells[second] + axes[second],
            num_sweeps,
            (cells[first], cells[second]),
        )
        for first, second in PLANES
    ]


def _norm(recipe: WaffleIronRecipe, momentum: float) -> nn.Module:
    if recipe.norm == "layer":
        return nn.LayerNorm(recipe.width)
    return nn.BatchNorm1d(recipe.width, momentum=momentum)


def _layer_scale(width: int) -> nn.Parameter:
    """Starts uniform in +-1, as the depth-wise 1 x 1 convolution does that the reference code has for it."""
    return nn.Parameter(torch.empty(width).uniform_(-1, 1))
