"""SECOND: VoxelNet's bird's-eye map, a 2D network on it, and a head that says for each anchor what it finds.

Shapes: B frames, A anchors (in the order of `olivine.detect.anchors`), K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from olivine.detect.anchors import ROTATIONS, make_anchors
from olivine.detect.recipe import DetectorRecipe, MapNetworkRecipe
from olivine.models.cloud import CloudBatch
from olivine.models.network_recipe import VoxelNetRecipe
from olivine.models.voxelnet import VoxelNet, densify

_EPS = 1e-3
_FIRST_PROBABILITY = 0.01
"""What every class score is at the start: nearly all anchors find nothing (focal loss, section 4.1)."""


@dataclass(frozen=True)
class HeadOutput:
    """`logits_BAK`, `offsets_BA7` and `directions_BA2`, float32."""

    logits_BAK: Tensor
    offsets_BA7: Tensor
    directions_BA2: Tensor


class MapNetwork(nn.Module):
    """A block of convolutions on the map, one on its half, and both beside each other at full size."""

    def __init__(self, in_channels: int, recipe: MapNetworkRecipe, bn_momentum: float) -> None:
        super().__init__()
        first, second = recipe.widths
        self.blocks = nn.ModuleList(
            [
                _block(in_channels, first, recipe.layers[0], 1, bn_momentum),
                _block(first, second, recipe.layers[1], 2, bn_momentum),
            ]
        )
        self.ups = nn.ModuleList(
            [
                _layer(nn.ConvTranspose2d(width, up, stride, stride, bias=False), up, bn_momentum)
                for width, up, stride in zip(recipe.widths, recipe.up_widths, (1, 2), strict=True)
            ]
        )
        self.out_channels = sum(recipe.up_widths)

    def forward(self, map_BDYX: Tensor) -> Tensor:
        """[B, in, Y, X] to [B, out_channels, Y, X]; Y and X are even."""
        parts = []
        for block, up in zip(self.blocks, self.ups, strict=True):
            map_BDYX = block(map_BDYX)
            parts.append(up(map_BDYX))
        return torch.cat(parts, dim=1)


class AnchorHead(nn.Module):
    """Three convolutions of one cell: class, offsets and direction of the anchors of each cell."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        anchors = num_classes * len(ROTATIONS)
        self.kind = nn.Conv2d(in_channels, anchors * num_classes, 1)
        self.box = nn.Conv2d(in_channels, anchors * 7, 1)
        self.direction = nn.Conv2d(in_channels, anchors * 2, 1)
        nn.init.constant_(self.kind.bias, -math.log((1 - _FIRST_PROBABILITY) / _FIRST_PROBABILITY))  # type: ignore[arg-type]
        nn.init.normal_(self.box.weight, mean=0, std=1e-3)
        self._widths = num_classes, 7, 2

    def forward(self, map_BDYX: Tensor) -> HeadOutput:
        """What each anchor finds."""
        layers = (self.kind, self.box, self.direction)
        parts = [
            # From [B, anchors of a cell x width, Y, X] to the order of the anchors.
            layer(map_BDYX).permute(0, 2, 3, 1).reshape(len(map_BDYX), -1, width)
            for layer, width in zip(layers, self._widths, strict=True)
        ]
        return HeadOutput(*parts)


class Detector(nn.Module):
    """The whole network. `backbone` has the parameters of a pretrained VoxelNet; `anchors_A7` are no parameters."""

    anchors_A7: Tensor

    def __init__(self, recipe: DetectorRecipe) -> None:
        super().__init__()
        self.backbone = VoxelNet(VoxelNetRecipe(widths=recipe.widths), recipe.bn_momentum, recipe.grid.cells)
        self.map_network = MapNetwork(self.backbone.out_channels, recipe.map_network, recipe.bn_momentum)
        self.head = AnchorHead(self.map_network.out_channels, len(recipe.classes))
        self.register_buffer("anchors_A7", make_anchors(recipe.grid, recipe.classes), persistent=False)

    def forward(self, clouds: CloudBatch, num_frames: int) -> HeadOutput:
        """What the anchors of `num_frames` frames find; the last of them may have no voxel."""
        head: HeadOutput = self.head(self.map_network(densify(self.backbone(clouds), num_frames)))
        return head


def build_detector(recipe: DetectorRecipe) -> Detector:
    """A freshly initialised detector; the same seed gives the same parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Detector(recipe)


def _block(in_channels: int, width: int, layers: int, stride: int, bn_momentum: float) -> nn.Sequential:
    first = _layer(nn.Conv2d(in_channels, width, 3, stride, 1, bias=False), width, bn_momentum)
    others = [_layer(nn.Conv2d(width, width, 3, 1, 1, bias=False), width, bn_momentum) for _ in range(layers)]
    return nn.Sequential(first, *others)


def _layer(convolution: nn.Module, width: int, bn_momentum: float) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(width, eps=_EPS, momentum=bn_momentum), nn.ReLU())
