"""Same inputs, same bits: on for the time of a training, whatever the number of threads does to the order of sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic as _module

# The stub of torch does not know the attribute.
settings: Any = _module


@contextmanager
def deterministic() -> Iterator[None]:
    """Let torch use only operations that give the same bits every time.

    Without it the gradient of an indexed read is summed by several threads in no fixed order. On a GPU an operation
    that has no such form warns and goes on: there, runs agree up to rounding.
    """
    before, fill_before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    warn_before = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Filling fresh memory is for finding bugs and costs time.
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_before)
        settings.fill_uninitialized_memory = fill_before
