"""The seam of the 3D backbones: what pretraining and its downstream tasks may ask of any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from olivine.models.cloud import CloudBatch


class Backbone(nn.Module, ABC):
    """A 3D network that gives every row of a batch of clouds one feature of `out_channels`."""

    out_channels: int

    @abstractmethod
    def embed(self, clouds: CloudBatch) -> Tensor:
        """Features float32 [R, out_channels] of the rows of `clouds`, in their order."""
