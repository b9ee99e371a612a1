"""The MinkowskiEngine backend: the library whose layout every released checkpoint of this family is in.

Built on request by `make minkowski` (no maintained wheel exists). Set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1
around it on a shared machine: its many small matrix products gain nothing from more threads, and stall
when the cores are busy.
"""

from __future__ import annotations

import collections
import collections.abc
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import Tensor

from olivine.errors import ConfigError
from olivine.models.sparse.backend import check_coordinates, duplicate_voxels


class MinkowskiGrids:
    """Voxel grids in a coordinate manager of MinkowskiEngine (see `SparseBackend.grids` for arguments and errors)."""

    def __init__(self, engine: ModuleType, coordinates_V4: Tensor) -> None:
        check_coordinates(coordinates_V4)
        self._engine = engine
        map_type = engine.CoordinateMapType.CUDA if coordinates_V4.is_cuda else engine.CoordinateMapType.CPU
        self._manager = engine.CoordinateManager(D=3, coordinate_map_type=map_type)
        key, (first_rows, backend_rows) = self._manager.insert_and_map(coordinates_V4.contiguous(), 1)
        num_voxels = len(coordinates_V4)
        if len(first_rows) < num_voxels:
            raise duplicate_voxels(num_voxels, num_voxels - len(first_rows))
        self._arrange_rows, self._restore_rows = first_rows.long(), backend_rows.long()
        self._keys = {1: key}

    def arrange(self, features_VD: Tensor) -> Tensor:
        """Rows in the caller's order to rows in the order of the coordinate manager."""
        return features_VD[self._arrange_rows]

    def restore(self, features_VD: Tensor) -> Tensor:
        """Rows in the order of the coordinate manager back to the caller's order."""
        return features_VD[self._restore_rows]

    def convolve(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """Submanifold 3^3 convolution on the grid of `stride`; kernel [27, in, out]."""
        function = self._engine.MinkowskiConvolutionFunction
        return self._apply(function, features_VD, kernel, 3, 1, self._keys[stride], self._keys[stride])

    def downsample(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """2^3 convolution from the grid of `stride` to that of 2 * `stride`; kernel [8, in, out]."""
        if 2 * stride not in self._keys:
            self._keys[2 * stride] = self._manager.stride(self._keys[stride], 2)
        function = self._engine.MinkowskiConvolutionFunction
        return self._apply(function, features_VD, kernel, 2, 2, self._keys[stride], self._keys[2 * stride])

    def upsample(self, features_VD: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """2^3 transposed convolution from the grid of `stride` to that of `stride` / 2; kernel [8, in, out]."""
        function = self._engine.MinkowskiConvolutionTransposeFunction
        return self._apply(function, features_VD, kernel, 2, 2, self._keys[stride], self._keys[stride // 2])

    def _apply(
        self, function: Any, features_VD: Tensor, kernel: Tensor, size: int, step: int, source: Any, target: Any
    ) -> Tensor:
        region = self._engine.KernelGenerator(kernel_size=size, stride=step, dimension=3)
        mode = import_module("MinkowskiEngineBackend._C").ConvolutionMode.DEFAULT
        result: Tensor = function.apply(features_VD, kernel, region, mode, source, target, self._manager)
        return result


class MinkowskiBackend:
    """Sparse convolution by MinkowskiEngine 0.5.4. Raises ConfigError where it is not installed."""

    name = "minkowski"

    def __init__(self) -> None:
        self._engine = _import_engine()

    def grids(self, coordinates_V4: Tensor) -> MinkowskiGrids:
        """See `SparseBackend.grids`."""
        return MinkowskiGrids(self._engine, coordinates_V4)


def _import_engine() -> ModuleType:
    # MinkowskiEngine 0.5.4 imports Sequence from where Python 3.10 removed it.
    collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import MinkowskiEngine
    except ImportError as error:
        raise ConfigError(
            f"MinkowskiEngine cannot be imported ({error}). Run `make minkowski`, or choose the sparse backend 'plain'."
        ) from error
    engine: ModuleType = MinkowskiEngine
    return engine
