"""Regression to the teacher: ScaLR's loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from olivine.losses.regression import point_pixel_distance
from olivine.models.minkunet import Head
from olivine.pretrain.heads import draw_pairs, unit
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class RegressionTerm(Term):
    """A head of its own takes the backbone to the teacher's dimensions; pairs are drawn uniformly."""

    def __init__(self, recipe: PretrainRecipe, width: int, image_channels: int) -> None:
        super().__init__()
        self._num_pairs = recipe.num_pairs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 2)
            self.head = Head(width, image_channels)

    def forward(self, step: Step) -> Tensor:
        """Mean distance of unit features over this process's draw."""
        drawn_S = draw_pairs(torch.ones_like(step.batch.weight_M), self._num_pairs, step.generator)
        rows_SD = step.embeddings.features_RD[step.batch.pair_row_M[drawn_S]]
        teacher_SC = functional.normalize(step.embeddings.teacher(step.batch.pixel_M3[drawn_S]), dim=1)
        return point_pixel_distance(unit(self.head(rows_SD)), teacher_SC)
