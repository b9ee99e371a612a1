"""The model of pretraining: a 3D backbone, its heads, and the terms that the recipe switches on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from olivine.models.backbone import Backbone
from olivine.models.cloud import CloudBatch
from olivine.models.network import build_backbone
from olivine.models.voxelnet import VoxelNet
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.heads import Embeddings, HeadPair, build_heads
from olivine.pretrain.labels import num_categories
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms import build_terms
from olivine.pretrain.terms.momentum import MomentumTerm
from olivine.pretrain.terms.term import Step
from olivine.training.cross_rank import share_batch_norm
from olivine.training.precision import half_precision


class Distiller(nn.Module):
    """Backbone, heads and terms. `image_channels` is 0 for a method that sees no image.

    `backbone` is one to start from, of the recipe's network; None builds it from random parameters.
    """

    def __init__(
        self, recipe: PretrainRecipe, num_classes: int, image_channels: int, backbone: Backbone | None = None
    ) -> None:
        super().__init__()
        self._sampled = recipe.sampled
        if backbone is None:
            backbone = build_backbone(recipe.network, recipe.bn_momentum, recipe.seed)
        self.backbone = backbone
        self.heads = build_heads(recipe, self.backbone.out_channels, image_channels)
        categories = num_categories(num_classes, recipe)
        self.terms, self._weights = build_terms(recipe, categories, image_channels, self.backbone)
        self._sharing, self._precision = recipe.cross_rank, recipe.precision
        if recipe.cross_rank == "batch":
            share_batch_norm(self)

    def forward(self, batch: PretrainBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """The losses of one process's share of a batch by term, and their weighted sum (`loss`)."""
        step = Step(batch, self._embeddings(batch), generator, self._embed, self._sharing)
        losses: dict[str, Tensor] = {name: term(step) for name, term in self.terms.items()}
        total = torch.stack([self._weights[name] * loss for name, loss in losses.items()]).sum()
        return {"loss": total, **losses}

    def _embeddings(self, batch: PretrainBatch) -> Embeddings:
        heads: dict[str, HeadPair] = dict(self.heads.items())  # type: ignore[arg-type]
        if not (isinstance(self.backbone, VoxelNet) and self._sampled == "embeddings"):
            return Embeddings(heads, self._embed(batch.clouds), batch=batch)
        unit_heads = {level: head.unit_points for level, head in heads.items()}
        with half_precision(self._precision, batch.clouds.features_VF.device):
            features_RD, embedded = self.backbone.embed_with(batch.clouds, unit_heads)
        if self._precision != "fp32":
            features_RD, embedded = features_RD.float(), {name: rows.float() for name, rows in embedded.items()}
        return Embeddings(heads, features_RD, embedded, batch=batch)

    def _embed(self, clouds: CloudBatch) -> Tensor:
        """Features of all rows, float32 whatever the backbone computes in."""
        with half_precision(self._precision, clouds.features_VF.device):
            features_RD = self.backbone.embed(clouds)
        return features_RD if self._precision == "fp32" else features_RD.float()

    def after_step(self) -> None:
        """What follows the optimiser: a key network moves behind the trained one."""
        for term in self.terms.values():
            if isinstance(term, MomentumTerm):
                term.follow(self.backbone)
