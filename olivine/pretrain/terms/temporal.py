"""Consistency over time: Seal's temporal term, in our reading."""

from __future__ import annotations

from torch import Tensor

from olivine.losses.temporal import temporal_info_nce
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.superpixel import mean_of_points
from olivine.pretrain.terms.term import Step, Term


class TemporalTerm(Term):
    """Points of a later sweep are drawn to the mean of the segment that they lie in at this one."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self._temperature = recipe.temperature

    def forward(self, step: Step) -> Tensor:
        """The loss of the later points that lie in a segment."""
        segments, later = step.batch.segments, step.batch.later
        assert segments is not None
        assert later is not None
        mean_SD, count_S = mean_of_points(step.embeddings, step.batch, segments)
        points_KD = step.embeddings.project("point_pixel", step.embed(later.clouds)[later.row_K])
        return temporal_info_nce(points_KD, later.segment_K, mean_SD, count_S, self._temperature)
