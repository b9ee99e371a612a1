"""Batches ahead of the training: prepared by the process itself or by workers, always in the order of the steps.

A sample follows from (seed, epoch, keyframe) alone, so it does not matter which process prepares it. A resumed run asks
for the steps that are left.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset

from olivine.errors import OlivineError
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.samples import PretrainSamples
from olivine.training.order import Batch

_AHEAD = 2


@dataclass(frozen=True)
class Prepared:
    """One process's share of a step in parts; what was counted on the way, also in another process."""

    place: Batch
    keyframes: list[str]
    parts: list[PretrainBatch]
    hidden_pairs: dict[str, int]
    read_bytes: int
    requests: int


class _Shares(Dataset[Prepared | OlivineError]):
    """What a worker process holds."""

    def __init__(self, samples: PretrainSamples, tokens: list[str], accumulate: int) -> None:
        self._samples, self._tokens, self._accumulate = samples, tokens, accumulate

    def __getitem__(self, place: Batch) -> Prepared | OlivineError:
        # An error is handed on as it is: torch would bury its message in a traceback.
        try:
            return self.prepare(place)
        except OlivineError as error:
            return error

    def prepare(self, place: Batch) -> Prepared:
        traffic = self._samples.traffic
        before = traffic.read_bytes, traffic.requests
        names = [[self._tokens[position] for position in part.positions] for part in place.parts(self._accumulate)]
        parts = [self._samples.batch(part, place.epoch) for part in names]
        keyframes = [name for part in names for name in part]
        hidden = {name: self._samples.hidden_pairs[name] for name in keyframes if name in self._samples.hidden_pairs}
        return Prepared(place, keyframes, parts, hidden, traffic.read_bytes - before[0], traffic.requests - before[1])


class Loader:
    """Prepared shares of the steps in `places`; `wait_s` is how long the training waited for them."""

    def __init__(
        self, samples: PretrainSamples, tokens: list[str], places: Iterable[Batch], accumulate: int, workers: int
    ) -> None:
        self.wait_s = 0.0
        self._shares, self._places, self._workers = _Shares(samples, tokens, accumulate), places, workers

    def __iter__(self) -> Iterator[Prepared]:
        source = iter(self._ahead() if self._workers else map(self._shares.__getitem__, self._places))
        while True:
            start_s = time.monotonic()
            try:
                found = next(source)
            except StopIteration:
                return
            self.wait_s += time.monotonic() - start_s
            if isinstance(found, OlivineError):
                raise found
            yield found

    def _ahead(self) -> DataLoader[Prepared | OlivineError]:
        return DataLoader(
            self._shares,
            batch_size=None,
            sampler=self._places,
            num_workers=self._workers,
            prefetch_factor=_AHEAD,
            collate_fn=_as_it_is,
            # A store on S3 has threads, which do not survive a fork.
            multiprocessing_context="spawn",
        )


def _as_it_is(found: Any) -> Any:
    return found
