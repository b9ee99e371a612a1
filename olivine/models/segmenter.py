"""The segmenter: a backbone and one 1^3 convolution to the logits of C - 1 classes and the ignored one (id 0)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from olivine.models.cloud import CloudBatch
from olivine.models.minkunet import Head
from olivine.models.network import build_backbone
from olivine.models.network_recipe import NetworkRecipe
from olivine.nuscenes_categories import NUM_CATEGORIES


class Segmenter(nn.Module):
    """Logits [R, C] of rows; channel 0 exists for compatibility with released checkpoints and is never predicted.

    `num_ids` is C, the classes of the drives and the ignored one; 17 are those of nuScenes.
    """

    def __init__(
        self, network: NetworkRecipe, bn_momentum: float, seed: int, num_ids: int = NUM_CATEGORIES + 1
    ) -> None:
        super().__init__()
        self.num_ids = num_ids
        self.backbone = build_backbone(network, bn_momentum, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.head = Head(self.backbone.out_channels, num_ids)

    def forward(self, clouds: CloudBatch) -> Tensor:
        """Logits float32 [R, C]."""
        logits_RC: Tensor = self.head(self.backbone.embed(clouds))
        return logits_RC

    @torch.no_grad()
    def predict(self, clouds: CloudBatch) -> Tensor:
        """Categories uint8 [R] in 1..C-1."""
        return likeliest_category(self(clouds))


def likeliest_category(logits_RC: Tensor) -> Tensor:
    """Categories uint8 [R] in 1..C-1 of logits [R, C]: the ignored one is never predicted."""
    category_R: Tensor = (logits_RC[:, 1:].argmax(dim=1) + 1).to(torch.uint8)
    return category_R
