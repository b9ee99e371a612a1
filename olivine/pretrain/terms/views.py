"""Two views of a cloud: PointContrast's loss."""

from __future__ import annotations

from torch import Tensor

from olivine.losses.views import view_info_nce
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class ViewsTerm(Term):
    """InfoNCE of points that both views hold, in the space of the point head."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self._temperature, self._symmetric = recipe.temperature, recipe.views.symmetric

    def forward(self, step: Step) -> Tensor:
        """The loss of the rows that the batch has matched."""
        view = step.batch.view
        assert view is not None
        first_KD = step.embeddings.points("point_pixel", view.first_K)
        second_KD = step.embeddings.project("point_pixel", step.embed(view.clouds)[view.second_K])
        return view_info_nce(first_KD, second_KD, self._temperature, symmetric=self._symmetric)
