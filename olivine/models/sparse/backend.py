"""The seam: what a network may ask of a sparse-convolution library, and the checks every library shares."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from olivine.errors import DataError, UsageError

COORDINATE_LIMIT = 1 << 15
"""Batch index in [0, limit - 1), voxel indices in (-limit + margin, limit - margin)."""

COORDINATE_MARGIN = 64
"""Voxels kept free at the ends of an axis, so that a neighbour at any stride up to 32 stays on its axis."""


class VoxelGrids(Protocol):
    """The occupied voxels of one batch at strides 1, 2, 4, ..., with their kernel maps, each built once and shared.

    Rows of a feature matrix are voxels. Their order inside a backend is the backend's own: `arrange` goes into it,
    `restore` comes back to the caller's. Kernels are [offsets, in, out], offset index x + 3 y + 9 z (x + 2 y + 4 z for
    2^3): the layout of MinkowskiEngine.
    """

    def arrange(self, features_VD: Tensor) -> Tensor:
        """Rows in the caller's order to rows in the backend's order (stride 1)."""
        ...

    def restore(self, features_VD: Tensor) -> Tensor:
        """Rows in the backend's order (stride 1) back to the caller's order."""
        ...

    def convolve(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """Submanifold 3^3 convolution on the grid of `stride`; kernel [27, in, out]."""
        ...

    def downsample(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """2^3 convolution from the grid of `stride` to that of 2 * `stride`; kernel [8, in, out]."""
        ...

    def upsample(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """2^3 transposed convolution from the grid of `stride` to that of `stride` / 2; kernel [8, in, out]."""
        ...


class SparseBackend(Protocol):
    """One sparse-convolution library."""

    name: str

    def grids(self, coordinates_V4: Tensor) -> VoxelGrids:
        """Index the voxels of a batch: int32 [V, 4], column 0 the batch index, columns 1..3 voxel indices.

        Raises UsageError for a wrong shape or dtype, DataError for no voxel, voxels out of range or given twice.
        """
        ...


def get_backend(name: str) -> SparseBackend:
    """The backend of that name: `plain` (PyTorch only, the default everywhere) or `minkowski` (MinkowskiEngine).

    Raises UsageError for an unknown name, ConfigError where the library is not installed.
    """
    if name == "plain":
        from olivine.models.sparse.plain import PlainBackend

        return PlainBackend()
    if name == "minkowski":
        from olivine.models.sparse.minkowski import MinkowskiBackend

        return MinkowskiBackend()
    raise UsageError(f"sparse backend '{name}' is unknown. Choose 'plain' or 'minkowski'.")


def check_coordinates(coordinates_V4: Tensor) -> None:
    """Refuse what no backend can index. Duplicates are left to the backend, which meets them while it sorts or hashes.

    Raises UsageError for a wrong shape or dtype, DataError for no voxel or voxels out of range.
    """
    if coordinates_V4.ndim != 2 or coordinates_V4.shape[1] != 4 or coordinates_V4.dtype != torch.int32:
        shape = tuple(coordinates_V4.shape)
        raise UsageError(
            f"voxel coordinates are {coordinates_V4.dtype} {shape}; pass int32 [V, 4]: batch index, then three indices."
        )
    if len(coordinates_V4) == 0:
        raise DataError("the batch has no voxel. Check the range crop and the drop augmentation of its sweeps.")
    least, most = (bound.tolist() for bound in torch.aminmax(coordinates_V4, dim=0))
    limit = COORDINATE_LIMIT - COORDINATE_MARGIN
    if least[0] < 0 or most[0] >= COORDINATE_LIMIT or min(least[1:]) < -limit or max(most[1:]) >= limit:
        raise DataError(
            f"voxel coordinates span {least} to {most}; the batch index must lie in [0, {COORDINATE_LIMIT}) and the "
            f"others in [{-limit}, {limit}). Crop the range or use larger voxels."
        )


def duplicate_voxels(num_voxels: int, num_duplicates: int) -> DataError:
    """The error for coordinates that name a voxel twice."""
    return DataError(
        f"{num_duplicates} of {num_voxels} voxel coordinates are duplicates. Voxelise before the network: one "
        "row per voxel."
    )
