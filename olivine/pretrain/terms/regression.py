"""Regression to the teacher: ScaLR's loss."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.losses.regression import point_pixel_distance
from olivine.models.minkunet import Head
from olivine.pretrain.heads import draw_pairs, unit
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class RegressionTerm(Term):
    """A head of its own takes the backbone to the teacher's dimensions."""

    def __init__(self, recipe: PretrainRecipe, width: int, image_channels: int) -> None:
        super().__init__()
        self._num_pairs = recipe.regression.num_pairs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 2)
            self.head = Head(width, image_channels)

    def forward(self, step: Step) -> Tensor:
        """Mean distance of unit features over all pairs of this process, or over a uniform draw of them."""
        row_M, pixel_M3 = step.batch.pair_row_M, step.batch.pixel_M3
        if self._num_pairs is not None:
            drawn_S = draw_pairs(torch.ones_like(step.batch.weight_M), self._num_pairs, step.generator)
            row_M, pixel_M3 = row_M[drawn_S], pixel_M3[drawn_S]
        # The head sees each row once: many pairs share one.
        row_R, place_M = torch.unique(row_M, return_inverse=True)
        points_MC = unit(self.head(step.embeddings.features_RD[row_R]))[place_M]
        return point_pixel_distance(points_MC, unit(step.embeddings.teacher(pixel_M3)))
