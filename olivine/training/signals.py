"""SIGTERM as a wish: the loop finishes its step, keeps a checkpoint and ends with exit code 143."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopFlag:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.is_set = False

    def _set(self, signum: int, frame: FrameType | None) -> None:
        self.is_set = True


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """A flag that SIGTERM raises while the block runs."""
    flag = StopFlag()
    before = signal.signal(signal.SIGTERM, flag._set)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, before)
