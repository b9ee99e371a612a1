"""How many processes a loss is shared by."""

from __future__ import annotations

from torch import distributed


def num_ranks() -> int:
    """Processes of this run; 1 where torch.distributed was not joined.

    >>> num_ranks()
    1
    """
    joined = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if joined else 1
