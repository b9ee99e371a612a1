"""What a term of the objective is given and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from olivine.drives import CAMERAS
from olivine.losses.ranks import num_ranks
from olivine.models.cloud import CloudBatch
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.heads import Embeddings, draw_pairs
from olivine.pretrain.term_recipes import Sharing
from olivine.training.cross_rank import gather_rows


@dataclass(frozen=True)
class Step:
    """One step of one process: its batch, its embeddings, its draws, and the backbone for further clouds."""

    batch: PretrainBatch
    embeddings: Embeddings
    generator: torch.Generator
    embed: Callable[[CloudBatch], Tensor]
    sharing: Sharing = "local"

    def draw(self, weight_M: Tensor, num_pairs: int) -> Tensor:
        """Indices of pairs drawn in proportion to their weight, from all pairs or, with `batch`, keyframe by keyframe.

        With `batch` the generator is the same in every process, and a keyframe's draw follows from it and its key.
        """
        if self.sharing != "batch":
            return draw_pairs(weight_M, num_pairs, self.generator)
        word = int(torch.randint(2**62, (), generator=self.generator))
        keyframe_M = self.batch.pixel_M3[:, 0] // len(CAMERAS)
        each = num_pairs // (self.batch.num_keyframes * num_ranks())
        drawn = []
        for place, key in enumerate(self.batch.keys):
            mine = torch.nonzero(keyframe_M == place)[:, 0]
            drawn.append(mine[draw_pairs(weight_M[mine], each, torch.Generator().manual_seed(word ^ key))])
        return torch.cat(drawn)

    def shared(self, rows_ND: Tensor) -> Tensor:
        """Rows of all processes where the recipe lets them meet, else these rows."""
        return rows_ND if self.sharing == "local" else gather_rows(rows_ND)


class Term(nn.Module, ABC):
    """A term: a scalar loss of a step."""

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The unweighted loss, an exact zero with a graph where the step has nothing for this term."""
