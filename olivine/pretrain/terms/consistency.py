"""Semantic consistency: the von Mises-Fisher term of OLIVINE (L_kl), in two phases."""

from __future__ import annotations

from torch import Tensor

from olivine.losses.log_partition import zero_with_graph
from olivine.losses.vmf import VonMisesFisher
from olivine.pretrain.labels import IGNORED
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.term import Step, Term


class ConsistencyTerm(Term):
    """Phase one gathers statistics of all labelled pairs, phase two pulls them towards their categories."""

    def __init__(self, recipe: PretrainRecipe, num_categories: int) -> None:
        super().__init__()
        self._recipe = recipe.consistency
        self._level = "semantic" if recipe.decoupled_heads else "point_pixel"
        self.statistics = VonMisesFisher(
            num_categories,
            recipe.embedding_dim,
            update_rate=self._recipe.update_rate,
            corrected=self._recipe.corrected,
            max_concentration=self._recipe.max_concentration,
            reduction=self._recipe.reduction,
            distribution=self._recipe.distribution,
        )

    def forward(self, step: Step) -> Tensor:
        """The loss, zero in phase one. Training mode moves the statistics."""
        labelled_M = step.batch.label_M != IGNORED
        features_ND = step.embeddings.all_points(self._level)[step.batch.pair_row_M[labelled_M]]
        label_N = step.batch.label_M[labelled_M]
        gathering = int(self.statistics.samples_seen) < self._recipe.statistics_samples
        if self.training and (gathering or self._recipe.keep_updating):
            self.statistics.update(features_ND.detach(), label_N, num_samples=step.batch.num_keyframes)
        if gathering:
            return zero_with_graph(features_ND)
        loss: Tensor = self.statistics(step.shared(features_ND), step.shared(label_N))
        return loss
