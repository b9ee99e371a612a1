"""Sparse convolution behind one seam: the networks are written once, the library below them is a choice."""

from __future__ import annotations

from olivine.models.sparse.backend import SparseBackend, VoxelGrids, get_backend

__all__ = ["SparseBackend", "VoxelGrids", "get_backend"]
