"""Which keyframe comes when: a permutation by (seed, epoch), cut into global batches, cut by rank.

The sequence of global batches is a function of the seed alone: it is the same for any number of ranks and after any
resume.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olivine.errors import UsageError


@dataclass(frozen=True)
class Batch:
    """One rank's share of a global batch. `step` counts global batches from 0; `positions` index the keyframes."""

    step: int
    epoch: int
    positions: tuple[int, ...]

    def parts(self, number: int) -> list[Batch]:
        """The share in equal parts, in its order."""
        size = len(self.positions) // number
        return [
            replace(self, positions=self.positions[start : start + size]) for start in range(0, size * number, size)
        ]


@dataclass(frozen=True)
class Order:
    """The order of `num_samples` keyframes over `num_epochs` epochs in global batches of `batch_size`."""

    num_samples: int
    batch_size: int
    num_epochs: int
    seed: int

    def __post_init__(self) -> None:
        if self.num_samples < self.batch_size:
            raise UsageError(
                f"{self.num_samples} keyframes do not fill one batch of {self.batch_size}: give more drives or a "
                "smaller batch_size."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the rest of the permutation is dropped, as in the reference."""
        return self.num_samples // self.batch_size

    @property
    def num_steps(self) -> int:
        """Optimiser steps in all."""
        return self.steps_per_epoch * self.num_epochs

    def share(self, world_size: int, accumulate: int = 1) -> int:
        """Keyframes of a global batch for each process, a multiple of the parts that it is accumulated in.

        Raises:
            UsageError: the batch cannot be cut into equal shares.
        """
        if self.batch_size % (world_size * accumulate):
            parts = f" times {accumulate} accumulated parts" if accumulate > 1 else ""
            raise UsageError(f"batch_size {self.batch_size} is not a multiple of {world_size} processes{parts}.")
        return self.batch_size // world_size

    def batches(self, first_step: int = 0, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
        """Batches from `first_step` on, the share of `rank`.

        Raises:
            UsageError: the batch cannot be cut into equal shares.
        """
        share = self.share(world_size)
        for step in range(first_step, self.num_steps):
            epoch, within = divmod(step, self.steps_per_epoch)
            permutation = _permutation(self.num_samples, self.seed, epoch)
            start = within * self.batch_size + rank * share
            yield Batch(step, epoch, tuple(int(i) for i in permutation[start : start + share]))


@functools.lru_cache(maxsize=2)
def _permutation(num_samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    permutation: NDArray[np.int64] = np.random.default_rng((seed, epoch)).permutation(num_samples)
    permutation.flags.writeable = False
    return permutation
