"""Build what a network recipe describes, and turn clouds into its input."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from olivine.models.backbone import Backbone
from olivine.models.cloud import Cloud
from olivine.models.minkunet import MinkUNet
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.voxelnet import VoxelNet
from olivine.models.voxelnet_cloud import voxelnet_cloud
from olivine.models.waffleiron import WaffleIron
from olivine.models.waffleiron_cloud import waffleiron_cloud
from olivine.points.voxelize import voxelize


def build_backbone(recipe: NetworkRecipe, bn_momentum: float, seed: int) -> Backbone:
    """A freshly initialised backbone; the same seed gives the same parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.kind == "waffleiron":
            return WaffleIron(recipe.waffleiron, bn_momentum, seed)
        if recipe.kind == "voxelnet":
            return VoxelNet(recipe.voxelnet, bn_momentum)
        return MinkUNet(1, recipe.widths, recipe.blocks, bn_momentum, recipe.backend)


def prepare_cloud(
    points_N4: NDArray[np.float32], recipe: NetworkRecipe, rng: np.random.Generator | None = None
) -> Cloud:
    """A sweep (x, y, z [m], intensity) as the network takes it.

    With `rng` it is to be trained on: a WaffleIron then sees part of a large sweep. Without, it is seen whole. The
    other networks draw nothing.
    """
    if recipe.intensity:
        points_N4 = points_N4.copy()
        points_N4[:, 3] = points_N4[:, 3] * recipe.intensity.scale + recipe.intensity.offset
    if recipe.kind == "waffleiron":
        return waffleiron_cloud(points_N4, recipe.waffleiron, recipe.intensity_scale, rng)
    if recipe.kind == "voxelnet":
        return voxelnet_cloud(points_N4, recipe.voxelnet, recipe.intensity_scale)
    voxels = voxelize(points_N4, recipe.coordinates, recipe.voxel_size, recipe.voxel_feature, recipe.intensity_scale)
    return Cloud(voxels.coordinates_V3, voxels.features_V1, voxels.inverse_N)
