"""Bytes that lie in several places in memory, as the tensors of a model do: written in order, never joined."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

_HASHED_BYTES = 16 << 20


class Pieces:
    """Views of buffers, one after the other. Whoever makes it must not change what they show until it is written."""

    def __init__(self, buffers: Iterable[bytes | memoryview]) -> None:
        self._views = [view.cast("B") for buffer in buffers if (view := memoryview(buffer)).nbytes]

    def __len__(self) -> int:
        """Bytes in all."""
        return sum(view.nbytes for view in self._views)

    def chunks(self, most_bytes: int) -> Iterator[memoryview]:
        """All bytes in order, in runs of at most `most_bytes`; a run never goes beyond one buffer."""
        for view in self._views:
            for first in range(0, view.nbytes, most_bytes):
                yield view[first : first + most_bytes]

    def slice(self, offset: int, length: int) -> bytes:
        """A copy of `length` bytes from `offset` on; fewer where they end before."""
        found, end = [], offset + length
        for view in self._views:
            found.append(bytes(view[max(0, offset) : max(0, end)]))
            offset, end = offset - view.nbytes, end - view.nbytes
        return b"".join(found)

    def sha256(self) -> str:
        """SHA-256 in hex. Other threads run meanwhile."""
        digest = hashlib.sha256()
        for chunk in self.chunks(_HASHED_BYTES):
            digest.update(chunk)
        return digest.hexdigest()
