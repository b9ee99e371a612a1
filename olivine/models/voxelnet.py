"""VoxelNet: the 3D backbone for detection (SECOND's sparse middle layers), from voxels to a bird's-eye map.

Modules are named and kernels laid out so that `conv2.0.0.kernel` [x + 3 y + 9 z, in, out] is OpenPCDet's
`backbone_3d.conv2.0.0.weight` with its axes moved; everything else differs in the prefix alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from olivine.errors import DataError, UsageError
from olivine.models.backbone import Backbone, check_grid
from olivine.models.cloud import CloudBatch
from olivine.models.minkunet import Kernel
from olivine.models.network_recipe import VoxelNetRecipe
from olivine.models.sparse.backend import duplicate_voxels
from olivine.models.sparse.convolution import Scratch, convolve
from olivine.models.sparse.maps import PairMap, submanifold_map, voxel_keys
from olivine.models.voxelnet_cloud import NUM_FEATURES
from olivine.models.voxelnet_maps import Cells, Window, split_keys, strided_map

HALVE = Window(size=(3, 3, 3), step=(2, 2, 2), margin=(1, 1, 1))
HALVE_WITHOUT_HEIGHT_MARGIN = Window(size=(3, 3, 3), step=(2, 2, 2), margin=(1, 1, 0))
FLATTEN = Window(size=(1, 1, 3), step=(1, 1, 2), margin=(0, 0, 0))

STAGES = {"conv2": HALVE, "conv3": HALVE, "conv4": HALVE_WITHOUT_HEIGHT_MARGIN}
"""Window of the first convolution of each stage; two submanifold ones follow."""

MAP_STRIDE = 8
"""Voxels along x and y of one cell of the map."""


@dataclass(frozen=True)
class SparseMap:
    """Voxels of a batch on one grid: sorted keys, features float32 [V, D], and the size of the grid."""

    keys_V: Tensor
    features_VD: Tensor
    cells: Cells


class Layer(nn.ModuleList):
    """A sparse convolution, batch normalisation and ReLU: modules 0 and 1."""

    def __init__(self, num_offsets: int, in_channels: int, channels: int, momentum: float) -> None:
        kernel = Kernel(num_offsets, in_channels, channels)
        # OpenPCDet's eps; an eps of 1e-5 would change what released weights compute.
        super().__init__([kernel, nn.BatchNorm1d(channels, eps=1e-3, momentum=momentum)])

    def forward(self, features_VD: Tensor, pair_map: PairMap, scratch: Scratch) -> Tensor:
        """[V, in] to [V', out]."""
        hidden: Tensor = self[1](convolve(features_VD, self[0](), pair_map, scratch))
        return torch.relu_(hidden)


class VoxelNet(Backbone):
    """Voxels in, a bird's-eye map out (`bev`), and its value at each point as the feature of that point (`embed`).

    Method: VoxelBackBone8x of OpenPCDet, which the paper pretrains for detection: two submanifold convolutions, three
    stages that halve the grid, and a last convolution along z. Grids and windows are those of `STAGES`; with the
    default range one cell along z is left. `cells` is another grid than the recipe's, as detection has one: kernels fit
    any. Without the recipe's grid there is a map, but no points to sample it at (`embed`).
    """

    def __init__(self, recipe: VoxelNetRecipe, bn_momentum: float, cells: Cells | None = None) -> None:
        super().__init__()
        self._recipe, self._cells = recipe, cells or recipe.cells
        first, *widths, last = recipe.widths
        self.conv_input = Layer(27, NUM_FEATURES, first, bn_momentum)
        self.conv1 = nn.ModuleList([Layer(27, first, first, bn_momentum)])
        cells, width = self._cells, first
        for (name, window), channels in zip(STAGES.items(), widths, strict=True):
            inputs = (width, channels, channels)
            self.add_module(name, nn.ModuleList(Layer(27, channel, channels, bn_momentum) for channel in inputs))
            cells, width = window.target_cells(cells), channels
        self.conv_out = Layer(FLATTEN.num_offsets, width, last, bn_momentum)
        self.out_channels = last * FLATTEN.target_cells(cells)[2]

    def embed(self, clouds: CloudBatch) -> Tensor:
        """The map's value at each point, float32 [R, out_channels]: bilinear between the four cells around it.

        Heads come after the sampling, so that what they normalise stays normalised. `embed_with` is the other order.
        """
        return self._sample(self(clouds), clouds)

    def embed_with(
        self, clouds: CloudBatch, heads: Mapping[str, Callable[[Tensor], Tensor]]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What `embed` gives, and by name what each head gives where it is applied to the map's cells before sampling.

        The order of the reference code: vectors of length one are shorter between cells, and next to empty ones.

        Raises:
            UsageError: the map has more than one cell along z: the heads take the channels of one.
        """
        sparse = self(clouds)
        if sparse.cells[2] > 1:
            raise UsageError(
                f"the map of this VoxelNet has {sparse.cells[2]} cells along z, and heads before sampling take one. "
                "Choose fewer voxels along z (height_m, voxel_size), or pretrain.sampled = features."
            )
        behind = {name: replace(sparse, features_VD=head(sparse.features_VD)) for name, head in heads.items()}
        return self._sample(sparse, clouds), {name: self._sample(cells, clouds) for name, cells in behind.items()}

    def _sample(self, sparse: SparseMap, clouds: CloudBatch) -> Tensor:
        if clouds.positions_R2 is None:
            raise UsageError("these clouds have no positions: prepare them with a recipe of kind voxelnet.")
        maps_BDYX = densify(sparse, _num_sweeps(clouds))
        return sample_map(maps_BDYX, clouds.batch_R, self._map_positions(clouds.positions_R2))

    def bev(self, clouds: CloudBatch) -> Tensor:
        """The bird's-eye map float32 [B, out_channels, Y, X], zero where nothing is; channel c * Z + z of cell z.

        Raises UsageError for coordinates or features of a wrong shape, DataError for no voxel, voxels outside of the
        grid or given twice.
        """
        return densify(self(clouds), _num_sweeps(clouds))

    def forward(self, clouds: CloudBatch) -> SparseMap:
        """The sparse map that `bev` makes dense; errors are the same."""
        check_grid(clouds, NUM_FEATURES, self._cells)
        keys_V, order = torch.sort(voxel_keys(clouds.coordinates_V4))
        num_duplicates = int((keys_V[1:] == keys_V[:-1]).sum())
        if num_duplicates:
            raise duplicate_voxels(len(keys_V), num_duplicates)
        scratch, cells, pairs = Scratch(), self._cells, submanifold_map(keys_V, 1)
        hidden = self.conv_input(clouds.features_VF.index_select(0, order), pairs, scratch)
        hidden = self.conv1[0](hidden, pairs, scratch)
        for name, window in STAGES.items():
            down, *layers = self.get_submodule(name).children()
            keys_V, pairs, cells = _advance(keys_V, cells, window)
            hidden = down(hidden, pairs, scratch)
            pairs = submanifold_map(keys_V, 1)
            for layer in layers:
                hidden = layer(hidden, pairs, scratch)
        keys_V, pairs, cells = _advance(keys_V, cells, FLATTEN)
        return SparseMap(keys_V, self.conv_out(hidden, pairs, scratch), cells)

    def _map_positions(self, positions_R2: Tensor) -> Tensor:
        """Places of points x, y [m] on the map, in cells.

        Cell i lies at the position i: it is centred on voxel 8 i, half a voxel further (so does OpenPCDet sample).
        """
        cell_2 = torch.tensor(self._recipe.voxel_size[:2], device=positions_R2.device) * MAP_STRIDE
        return (positions_R2 + self._recipe.radius_m) / cell_2


def _num_sweeps(clouds: CloudBatch) -> int:
    return 1 + int(max(tensor.max() for tensor in (clouds.coordinates_V4[:, 0], clouds.batch_R) if len(tensor)))


def densify(sparse: SparseMap, num_sweeps: int) -> Tensor:
    """The map [B, D Z, Y, X] of B sweeps, with the channels of one cell along z beside each other's."""
    batch_V, (x_V, y_V, z_V) = split_keys(sparse.keys_V)
    num_x, num_y, num_z = sparse.cells
    cell_V = ((batch_V * num_y + y_V) * num_x + x_V) * num_z + z_V
    width = sparse.features_VD.shape[1]
    table = sparse.features_VD.new_zeros(num_sweeps * num_y * num_x * num_z, width)
    dense = table.index_copy(0, cell_V, sparse.features_VD).view(num_sweeps, num_y, num_x, num_z, width)
    return dense.permute(0, 4, 3, 1, 2).flatten(1, 2)


def sample_map(maps_BDYX: Tensor, batch_R: Tensor, positions_R2: Tensor) -> Tensor:
    """Maps at positions x, y in cells, [R, D], bilinear; beyond the outermost cells, their value (our reading)."""
    num_y, num_x = maps_BDYX.shape[2:]
    most_2 = positions_R2.new_tensor([num_x - 1, num_y - 1])
    positions_R2 = positions_R2.clamp(min=0).minimum(most_2)
    lower_R2 = positions_R2.floor()
    share_R2 = (positions_R2 - lower_R2).to(maps_BDYX.dtype)
    low_x, low_y = lower_R2.long().unbind(1)
    high_x, high_y = torch.minimum(lower_R2 + 1, most_2).long().unbind(1)
    first_R = batch_R * num_y
    corners = [(first_R + y) * num_x + x for y in (low_y, high_y) for x in (low_x, high_x)]
    right_R, up_R = share_R2.unbind(1)
    weights = [y * x for y in (1 - up_R, up_R) for x in (1 - right_R, right_R)]
    # One gather for all corners: its gradient is one table instead of four.
    table = maps_BDYX.permute(0, 2, 3, 1).flatten(0, 2)
    values_4RD = table.index_select(0, torch.cat(corners)).view(4, len(batch_R), -1)
    return (values_4RD * torch.stack(weights)[:, :, None]).sum(dim=0)


def _advance(keys_V: Tensor, cells: Cells, window: Window) -> tuple[Tensor, PairMap, Cells]:
    """Keys, pairs and size of the next grid."""
    keys_V, pairs = strided_map(keys_V, cells, window)
    if len(keys_V) == 0:
        raise DataError("no voxel of the batch reaches the map: all lie in the top cells of the range. Widen height_m.")
    return keys_V, pairs, window.target_cells(cells)
