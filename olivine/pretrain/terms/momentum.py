"""Whole clouds against a queue: DepthContrast's loss, after momentum contrast."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from olivine.losses.momentum import KeyQueue, queue_info_nce
from olivine.models.backbone import Backbone
from olivine.models.cloud import CloudBatch
from olivine.pretrain.heads import unit
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class _Projector(nn.Sequential):
    """Two layers from the pooled cloud to its embedding."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))


class MomentumTerm(Term):
    """The query is the batch's cloud, the key its second view through a slowly following copy of the network."""

    def __init__(self, recipe: PretrainRecipe, backbone: Backbone) -> None:
        super().__init__()
        self._recipe, self._temperature = recipe.momentum, recipe.temperature
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 3)
            self.projector = _Projector(backbone.out_channels, self._recipe.embedding_dim)
        self.key_backbone = copy.deepcopy(backbone).requires_grad_(False)
        self.key_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.queue = KeyQueue(self._recipe.queue_size, self._recipe.embedding_dim)

    @torch.no_grad()
    def follow(self, backbone: Backbone) -> None:
        """Move the key network towards the one that is trained."""
        online = [*backbone.parameters(), *self.projector.parameters()]
        keys = [*self.key_backbone.parameters(), *self.key_projector.parameters()]
        for slow, fast in zip(keys, online, strict=True):
            slow.lerp_(fast, 1 - self._recipe.key_momentum)

    def forward(self, step: Step) -> Tensor:
        """The loss of this process's clouds; training mode moves their keys into the queue."""
        view = step.batch.view
        assert view is not None
        query_BD = unit(self.projector(_pool(step.embeddings.features_RD, step.batch.clouds, step.batch.num_keyframes)))
        with torch.no_grad():
            rows_RD = self.key_backbone.embed(view.clouds)
            key_BD = unit(self.key_projector(_pool(rows_RD, view.clouds, step.batch.num_keyframes)))
        loss = queue_info_nce(query_BD, key_BD, self.queue.filled, self._temperature)
        if self.training:
            self.queue.enqueue(key_BD)
        return loss


def _pool(features_RD: Tensor, clouds: CloudBatch, num_clouds: int) -> Tensor:
    """Greatest value of each feature over the rows of each cloud: [B, D]."""
    return torch.stack([features_RD[clouds.batch_R == cloud].amax(dim=0) for cloud in range(num_clouds)])
