"""The default backend: PyTorch only, CPU or GPU, nothing to compile."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.models.sparse.backend import check_coordinates, duplicate_voxels
from olivine.models.sparse.convolution import Scratch, convolve
from olivine.models.sparse.maps import PairMap, downsample_map, submanifold_map, voxel_keys


class PlainGrids:
    """Voxel grids as sorted keys (see `SparseBackend.grids` for arguments and errors).

    Sorting puts neighbours close together in memory, and makes every result independent of the order of the input.
    """

    def __init__(self, coordinates_V4: Tensor) -> None:
        check_coordinates(coordinates_V4)
        keys_V, self._order = torch.sort(voxel_keys(coordinates_V4))
        num_duplicates = int((keys_V[1:] == keys_V[:-1]).sum())
        if num_duplicates:
            raise duplicate_voxels(len(keys_V), num_duplicates)
        self._inverse = torch.empty_like(self._order)
        self._inverse[self._order] = torch.arange(len(keys_V), device=keys_V.device)
        self._keys = {1: keys_V}
        self._scratch = Scratch()
        self._submanifold: dict[int, PairMap] = {}
        self._down: dict[int, PairMap] = {}

    def arrange(self, features_VD: Tensor) -> Tensor:
        """Rows in the caller's order to rows sorted by key."""
        return features_VD.index_select(0, self._order)

    def restore(self, features_VD: Tensor) -> Tensor:
        """Rows sorted by key back to the caller's order."""
        return features_VD.index_select(0, self._inverse)

    def convolve(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """Submanifold 3^3 convolution on the grid of `stride`; kernel [27, in, out]."""
        if stride not in self._submanifold:
            self._submanifold[stride] = submanifold_map(self._keys[stride], stride)
        return convolve(features_VD, kernel, self._submanifold[stride], self._scratch)

    def downsample(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """2^3 convolution from the grid of `stride` to that of 2 * `stride`; kernel [8, in, out]."""
        if stride not in self._down:
            self._keys[2 * stride], self._down[stride] = downsample_map(self._keys[stride], stride)
        return convolve(features_VD, kernel, self._down[stride], self._scratch)

    def upsample(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """2^3 transposed convolution back to the grid of `stride` / 2, over the pairs that led from there."""
        return convolve(features_VD, kernel, self._down[stride // 2].transposed, self._scratch)


class PlainBackend:
    """Sparse convolution in plain PyTorch."""

    name = "plain"

    def grids(self, coordinates_V4: Tensor) -> PlainGrids:
        """See `SparseBackend.grids`."""
        return PlainGrids(coordinates_V4)
