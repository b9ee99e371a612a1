"""Point-pixel contrast: PPKT's loss, and the self-supervised term of OLIVINE (L_pp)."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.losses.point_pixel import point_pixel_info_nce
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class PointPixelTerm(Term):
    """InfoNCE of pairs that are drawn uniformly, labelled or not."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self._temperature, self._num_pairs = recipe.temperature, recipe.num_pairs

    def forward(self, step: Step) -> Tensor:
        """The loss of this process's draw."""
        drawn_S = step.draw(torch.ones_like(step.batch.weight_M), self._num_pairs)
        return point_pixel_info_nce(
            step.shared(step.embeddings.points("point_pixel", step.batch.pair_row_M[drawn_S])),
            step.shared(step.embeddings.pixels("point_pixel", step.batch.pixel_M3[drawn_S])),
            self._temperature,
        )
