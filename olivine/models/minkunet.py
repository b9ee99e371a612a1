"""MinkUNet: the 3D backbone for segmentation (Res16UNet34C of SLidR and its descendants), written over the sparse seam.

Names and kernel layouts are those of MinkowskiEngine's Res16UNet, so released checkpoints load with `strict=True`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from olivine.errors import UsageError
from olivine.models.backbone import Backbone
from olivine.models.cloud import CloudBatch
from olivine.models.recompute import recomputed
from olivine.models.sparse import VoxelGrids, get_backend

WIDTHS = (32, 32, 64, 128, 256, 256, 128, 96, 96)
"""Channels of the stem, the 4 encoder stages and the 4 decoder stages."""

BLOCKS = (2, 3, 4, 6, 2, 2, 2, 2)
"""Residual blocks of the 4 encoder and the 4 decoder stages: those of a ResNet-34, and 2 each on the way up."""

ENCODER_CONVOLUTIONS = ("conv1p1s2", "conv2p2s2", "conv3p4s2", "conv4p8s2")
DECODER_CONVOLUTIONS = ("convtr4p16s2", "convtr5p8s2", "convtr6p4s2", "convtr7p2s2")


class Kernel(nn.Module):
    """The learned kernel of a convolution: `kernel` [offsets, in, out], without bias.

    Starts uniform in +-1/sqrt(n), n = channels * offsets, with the channels of the input, or of the output for a
    transposed convolution: MinkowskiEngine's rule.
    """

    def __init__(self, offsets: int, in_channels: int, out_channels: int, transposed: bool = False) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(offsets, in_channels, out_channels))
        bound = 1 / math.sqrt(offsets * (out_channels if transposed else in_channels))
        nn.init.uniform_(self.kernel, -bound, bound)

    def forward(self) -> Tensor:
        """The kernel itself: which convolution it belongs to is the caller's to say."""
        return self.kernel


class Linear(nn.Module):
    """A 1^3 convolution, which meets no neighbour: a matrix product with `kernel` [in, out], started as `Kernel` is."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(in_channels, out_channels))
        bound = 1 / math.sqrt(in_channels)
        nn.init.uniform_(self.kernel, -bound, bound)

    def forward(self, features_VD: Tensor) -> Tensor:
        """[V, in] to [V, out]."""
        return features_VD @ self.kernel


class Head(Linear):
    """A 1^3 convolution with bias on backbone features [V, in]: `kernel` [in, out], `bias` [1, out]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        bound = 1 / math.sqrt(in_channels)
        self.bias = nn.Parameter(torch.empty(1, out_channels).uniform_(-bound, bound))

    def forward(self, features_VD: Tensor) -> Tensor:
        """[V, in] to [V, out]."""
        return torch.addmm(self.bias, features_VD, self.kernel)


class BatchNorm(nn.Module):
    """Batch normalisation over voxels, one level deeper in the names, as MinkowskiEngine has it (`bn.bn.weight`)."""

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels, momentum=momentum)

    def forward(self, features_VD: Tensor) -> Tensor:
        """[V, D] to [V, D]."""
        normalised: Tensor = self.bn(features_VD)
        return normalised


class Block(nn.Module):
    """Two 3^3 convolutions and a shortcut, which is a 1^3 convolution where the width changes."""

    def __init__(self, in_channels: int, channels: int, momentum: float) -> None:
        super().__init__()
        self.conv1 = Kernel(27, in_channels, channels)
        self.norm1 = BatchNorm(channels, momentum)
        self.conv2 = Kernel(27, channels, channels)
        self.norm2 = BatchNorm(channels, momentum)
        self.downsample: nn.Sequential | None = None
        if in_channels != channels:
            self.downsample = nn.Sequential(Linear(in_channels, channels), BatchNorm(channels, momentum))

    def forward(self, grids: VoxelGrids, features_VD: Tensor, stride: int) -> Tensor:
        """Features on the grid of `stride`, [V, in] to [V, out]."""
        hidden = torch.relu_(self.norm1(grids.convolve(features_VD, self.conv1(), stride)))
        hidden = self.norm2(grids.convolve(hidden, self.conv2(), stride))
        shortcut = features_VD if self.downsample is None else self.downsample(features_VD)
        return torch.relu_(hidden + shortcut)


class Stage(nn.ModuleList):
    """Residual blocks on one grid. With `recompute` their activations are not kept for the backward pass."""

    recompute = False

    def __init__(self, in_channels: int, channels: int, num_blocks: int, momentum: float) -> None:
        widths = [in_channels] + [channels] * (num_blocks - 1)
        super().__init__(Block(width, channels, momentum) for width in widths)

    def forward(self, grids: VoxelGrids, features_VD: Tensor, stride: int) -> Tensor:
        """Features on the grid of `stride`, [V, in] to [V, out]."""
        if self.recompute and torch.is_grad_enabled():
            return recomputed(self, self._pass, grids, features_VD, stride)
        return self._pass(grids, features_VD, stride)

    def _pass(self, grids: VoxelGrids, features_VD: Tensor, stride: int) -> Tensor:
        for block in self:
            features_VD = block(grids, features_VD, stride)
        return features_VD


class MinkUNet(Backbone):
    """Res16UNet34C without its last layer: voxels in, one feature per voxel out (`out_channels`, 96 at full width).

    Method: a 3^3 stem, 4 stages down to stride 16 and 4 up again, each a 2^3 (transposed) convolution with a stage of
    residual blocks; on the way up the encoder's features of the same grid are concatenated (SLidR's backbone, which the
    paper takes over in section 4). `widths` and `blocks` are those of `WIDTHS` and `BLOCKS`; `bn_momentum` is 0.05 in
    pretraining and 0.02 downstream. `backend` names the sparse library; parameters are the same in all of them.

    Raises UsageError for wrong lengths or an unknown backend, ConfigError for one that is not installed.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int] = WIDTHS,
        blocks: Sequence[int] = BLOCKS,
        bn_momentum: float = 0.05,
        backend: str = "plain",
    ) -> None:
        super().__init__()
        if len(widths) != 9 or len(blocks) != 8 or min(*widths, *blocks) < 1:
            raise UsageError(f"a MinkUNet needs 9 widths and 8 block counts above zero, not {widths} and {blocks}.")
        self.backend = get_backend(backend)
        self.out_channels = widths[-1]
        self.conv0p1s1 = Kernel(27, in_channels, widths[0])
        self.bn0 = BatchNorm(widths[0], bn_momentum)
        self._add_encoder(widths, blocks, bn_momentum)
        self._add_decoder(widths, blocks, bn_momentum)

    def _add_encoder(self, widths: Sequence[int], blocks: Sequence[int], momentum: float) -> None:
        for level, name in enumerate(ENCODER_CONVOLUTIONS, start=1):
            width = widths[level - 1]
            self.add_module(name, Kernel(8, width, width))
            self.add_module(f"bn{level}", BatchNorm(width, momentum))
            self.add_module(f"block{level}", Stage(width, widths[level], blocks[level - 1], momentum))

    def _add_decoder(self, widths: Sequence[int], blocks: Sequence[int], momentum: float) -> None:
        for level, name in enumerate(DECODER_CONVOLUTIONS, start=4):
            width, skip = widths[level + 1], widths[7 - level]
            self.add_module(name, Kernel(8, widths[level], width, transposed=True))
            self.add_module(f"bntr{level}", BatchNorm(width, momentum))
            self.add_module(f"block{level + 1}", Stage(width + skip, width, blocks[level], momentum))

    def recompute_activations(self) -> None:
        """Keep no activation of the residual blocks, but what enters a stage."""
        for module in self.modules():
            if isinstance(module, Stage):
                module.recompute = True

    def embed(self, clouds: CloudBatch) -> Tensor:
        """One feature a voxel."""
        features_VD: Tensor = self(clouds.coordinates_V4, clouds.features_VF)
        return features_VD

    def forward(self, coordinates_V4: Tensor, features_VC: Tensor) -> Tensor:
        """Features float32 [V, out_channels] of the voxels, in their order.

        `coordinates_V4` is int32, column 0 the batch index; `features_VC` float32. Raises UsageError for wrong shapes
        or dtypes, DataError for no voxel, voxels out of range or given twice.
        """
        if features_VC.shape != (len(coordinates_V4), self.conv0p1s1.kernel.shape[1]):
            raise UsageError(
                f"features are {tuple(features_VC.shape)}; pass one row for each of {len(coordinates_V4)} voxels and "
                f"{self.conv0p1s1.kernel.shape[1]} channels."
            )
        grids = self.backend.grids(coordinates_V4)
        hidden = grids.convolve(grids.arrange(features_VC), self.conv0p1s1(), 1)
        skips = [torch.relu_(self.bn0(hidden))]
        for level, name in enumerate(ENCODER_CONVOLUTIONS, start=1):
            stride = 1 << level
            hidden = grids.downsample(skips[-1], self.get_submodule(name)(), stride // 2)
            hidden = torch.relu_(self.get_submodule(f"bn{level}")(hidden))
            skips.append(self.get_submodule(f"block{level}")(grids, hidden, stride))
        hidden = skips.pop()
        for level, name in enumerate(DECODER_CONVOLUTIONS, start=4):
            stride = 1 << (8 - level)
            hidden = grids.upsample(hidden, self.get_submodule(name)(), stride)
            hidden = torch.relu_(self.get_submodule(f"bntr{level}")(hidden))
            hidden = torch.cat([hidden, skips.pop()], dim=1)
            hidden = self.get_submodule(f"block{level + 1}")(grids, hidden, stride // 2)
        return grids.restore(hidden)
