"""How this process's allocator deals with the tensors of a processor."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _TOP_PAD, _TRIM_THRESHOLD = -3, -2, -1
"""Parameters of mallopt(3)."""
_LARGEST = 2**31 - 1
_LARGEST_BEFORE_2_35 = 1 << 25
"""The most that an earlier glibc takes as threshold for mmap; above it, it changes nothing and answers 0."""
_GROWTH_BYTES = 1 << 26


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next tensor, up to 2 GiB; nothing where the C library is another one.

    It gives every block above 32 MiB back to the system at once, and the pages of the next one are then zeroed anew:
    that was a third of the time that masks of points took, and a tenth of a training step (benchmarks W8, W11). A glibc
    before 2.35 cannot be told otherwise: there, what is smaller is kept.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if not mallopt(_MMAP_THRESHOLD, _LARGEST):
        # Any limit for trimming fixes the threshold where it stands, at 128 KiB: without this it would be worse.
        mallopt(_MMAP_THRESHOLD, _LARGEST_BEFORE_2_35)
    mallopt(_TRIM_THRESHOLD, _LARGEST)
    mallopt(_TOP_PAD, _GROWTH_BYTES)
