"""Batches made ahead by threads while the network trains, in the order of the steps.

A frame follows from seed, epoch and name alone, so it does not matter which thread makes it, or when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from olivine.detect.samples import DetectionBatch, DetectionSamples
from olivine.training.order import Batch

_THREADS = 4


def batches_ahead(
    samples: DetectionSamples, names: Sequence[str], places: Iterable[Batch]
) -> Generator[tuple[Batch, DetectionBatch], None, None]:
    """Each place in the order of steps with the batch of its frames; an error comes where its batch would.

    Closed early, it waits for the batches that are being made, and makes no others.
    """
    waiting: deque[tuple[Batch, Future[DetectionBatch]]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for place in places:
            chosen = [names[position] for position in place.positions]
            waiting.append((place, pool.submit(samples.batch, chosen, place.epoch)))
            if len(waiting) == _THREADS:
                first, batch = waiting.popleft()
                yield first, batch.result()
        for first, batch in waiting:
            yield first, batch.result()
