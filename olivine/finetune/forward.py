"""From a batch to logits and labels: the whole network, or the head on a frozen backbone (linear probing)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from olivine.finetune.recipe import FinetuneRecipe
from olivine.finetune.samples import LabelledSamples
from olivine.models.segmenter import Segmenter


class Forward:
    """Logits [R, C] and labels int64 [R] of the keyframes of a batch, as the recipe wants the backbone."""

    def __init__(self, segmenter: Segmenter, samples: LabelledSamples, recipe: FinetuneRecipe) -> None:
        self._segmenter, self._samples, self._frozen = segmenter, samples, recipe.frozen
        self._device = next(segmenter.parameters()).device
        self._embed_once = functools.cache(self._embed)
        if self._frozen != "no":
            segmenter.backbone.requires_grad_(False)

    def train(self) -> None:
        """Training mode; a frozen backbone stays in evaluation mode, so that its statistics do not move."""
        self._segmenter.train()
        if self._frozen != "no":
            self._segmenter.backbone.eval()

    def __call__(self, tokens: list[str], epoch: int) -> tuple[Tensor, Tensor]:
        """Logits with a graph, and labels."""
        if self._frozen == "cached":
            parts = [self._embed_once(token) for token in tokens]
            features_RD, label_R = (torch.cat(part) for part in zip(*parts, strict=True))
            return self._segmenter.head(features_RD), label_R
        batch = self._samples.batch(tokens, epoch)
        clouds, label_R = batch.clouds.to(self._device), batch.label_R.to(self._device)
        if self._frozen == "no":
            return self._segmenter(clouds), label_R
        with torch.no_grad():
            features_RD = self._segmenter.backbone.embed(clouds)
        return self._segmenter.head(features_RD), label_R

    @torch.no_grad()
    def _embed(self, token: str) -> tuple[Tensor, Tensor]:
        """Features of one keyframe without augmentation, and its labels."""
        batch = self._samples.batch([token], None)
        return self._segmenter.backbone.embed(batch.clouds.to(self._device)), batch.label_R.to(self._device)
