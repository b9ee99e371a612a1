"""The seam of the 3D backbones: what pretraining and its downstream tasks may ask of any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from olivine.errors import DataError, UsageError
from olivine.models.cloud import CloudBatch
from olivine.models.sparse.backend import check_coordinates


class Backbone(nn.Module, ABC):
    """A 3D network that gives every row of a batch of clouds one feature of `out_channels`."""

    out_channels: int

    @abstractmethod
    def embed(self, clouds: CloudBatch) -> Tensor:
        """Features float32 [R, out_channels] of the rows of `clouds`, in their order."""

    def recompute_activations(self) -> None:
        """Compute activations a second time in the backward pass, which takes time and saves memory.

        Raises:
            UsageError: the network cannot.
        """
        raise UsageError("--recompute-activations is for MinkUNet alone: leave it out, or use --accumulate 2 or more.")


def check_grid(clouds: CloudBatch, num_features: int, cells: tuple[int, int, int]) -> None:
    """Refuse clouds that a backbone with a grid of `cells` cannot take.

    Raises UsageError for another shape or dtype, DataError for no cell or cells outside of the grid.
    """
    check_coordinates(clouds.coordinates_V4)
    shape = (len(clouds.coordinates_V4), num_features)
    if clouds.features_VF.shape != shape:
        raise UsageError(
            f"features are {tuple(clouds.features_VF.shape)} and must be {shape}: prepare the clouds with the recipe "
            "of the network."
        )
    least, most = (bound.tolist()[1:] for bound in torch.aminmax(clouds.coordinates_V4, dim=0))
    if min(least) < 0 or any(last >= cell for last, cell in zip(most, cells, strict=True)):
        raise DataError(
            f"cells span {least} to {most}, and the grid is {cells}: prepare the clouds with the recipe of the network."
        )
