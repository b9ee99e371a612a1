"""How this process's allocator deals with the tensors of a processor."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _TOP_PAD, _TRIM_THRESHOLD = -3, -2, -1
"""Parameters of mallopt(3)."""
_LARGEST = 2**31 - 1
_GROWTH_BYTES = 1 << 26


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next tensor, up to 2 GiB; nothing where the C library is another one.

    It gives every block above 32 MiB back to the system at once, and the pages of the next one are then zeroed anew:
    that was a third of the time that masks of points took, and a tenth of a training step (benchmarks W8, W11).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST)
    mallopt(_TRIM_THRESHOLD, _LARGEST)
    mallopt(_TOP_PAD, _GROWTH_BYTES)
