"""The segmenter: a backbone and one 1^3 convolution to the logits of 16 categories and the ignored one (id 0)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from olivine.models.minkunet import Head
from olivine.models.network import build_backbone
from olivine.models.network_recipe import NetworkRecipe
from olivine.nuscenes_categories import NUM_CATEGORIES


class Segmenter(nn.Module):
    """Logits [V, 17] of voxels; channel 0 exists for compatibility with released checkpoints and is never predicted."""

    def __init__(self, network: NetworkRecipe, bn_momentum: float, seed: int) -> None:
        super().__init__()
        self.backbone = build_backbone(network, bn_momentum, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.head = Head(network.widths[-1], NUM_CATEGORIES + 1)

    def forward(self, coordinates_V4: Tensor, features_V1: Tensor) -> Tensor:
        """Logits float32 [V, 17]."""
        logits_VC: Tensor = self.head(self.backbone(coordinates_V4, features_V1))
        return logits_VC

    @torch.no_grad()
    def predict(self, coordinates_V4: Tensor, features_V1: Tensor) -> Tensor:
        """Categories uint8 [V] in 1..16."""
        logits_VC = self(coordinates_V4, features_V1)
        category_V: Tensor = (logits_VC[:, 1:].argmax(dim=1) + 1).to(torch.uint8)
        return category_V
