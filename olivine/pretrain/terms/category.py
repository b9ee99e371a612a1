"""Category-aware contrast: the weakly supervised term of OLIVINE (L_sup)."""

from __future__ import annotations

from torch import Tensor

from olivine.losses.category_aware import category_aware_contrastive
from olivine.pretrain.labels import IGNORED
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class CategoryTerm(Term):
    """Contrast of pairs that are drawn by their sampling weight; the weak category decides what attracts."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self._temperature, self._num_pairs = recipe.temperature, recipe.num_pairs
        self._level = "semantic" if recipe.decoupled_heads else "point_pixel"

    def forward(self, step: Step) -> Tensor:
        """The loss of this process's draw."""
        drawn_S = step.draw(step.batch.weight_M, self._num_pairs)
        label_S = step.shared(step.batch.label_M[drawn_S])
        return category_aware_contrastive(
            step.shared(step.embeddings.points(self._level, step.batch.pair_row_M[drawn_S])),
            step.shared(step.embeddings.pixels(self._level, step.batch.pixel_M3[drawn_S])),
            label_S.where(label_S != IGNORED, -1),
            self._temperature,
        )
