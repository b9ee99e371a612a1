"""What a term of the objective is given and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from olivine.models.cloud import CloudBatch
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.heads import Embeddings


@dataclass(frozen=True)
class Step:
    """One step of one process: its batch, its embeddings, its draws, and the backbone for further clouds."""

    batch: PretrainBatch
    embeddings: Embeddings
    generator: torch.Generator
    embed: Callable[[CloudBatch], Tensor]


class Term(nn.Module, ABC):
    """A term: a scalar loss of a step."""

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The unweighted loss, an exact zero with a graph where the step has nothing for this term."""
