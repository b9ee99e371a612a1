"""Two views of a cloud: PointContrast's loss."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.losses.views import view_info_nce
from olivine.pretrain.heads import draw_pairs
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class ViewsTerm(Term):
    """InfoNCE of points that both views hold, drawn uniformly, in the space of the point head."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self._temperature, self._symmetric = recipe.temperature, recipe.views.symmetric
        self._num_pairs = recipe.num_pairs

    def forward(self, step: Step) -> Tensor:
        """The loss of this process's draw of the rows that the batch has matched."""
        view = step.batch.view
        assert view is not None
        drawn_S = draw_pairs(torch.ones_like(view.first_K), self._num_pairs, step.generator)
        first_SD = step.embeddings.points("point_pixel", view.first_K[drawn_S])
        second_SD = step.embeddings.project("point_pixel", step.embed(view.clouds)[view.second_K[drawn_S]])
        return view_info_nce(first_SD, second_SD, self._temperature, symmetric=self._symmetric)
