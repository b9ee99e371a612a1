"""Bytes in several places are the same bytes as if they lay in one."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olivine.store import Pieces


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 9), st.integers(0, 40), st.integers(0, 40))
def test_as_if_joined(parts: list[bytes], most_bytes: int, offset: int, length: int) -> None:
    pieces, whole = Pieces(parts), b"".join(parts)
    chunks = list(pieces.chunks(most_bytes))
    assert len(pieces) == len(whole)
    assert b"".join(chunks) == whole
    assert all(0 < len(chunk) <= most_bytes for chunk in chunks)
    assert pieces.slice(offset, length) == whole[offset : offset + length]
    assert pieces.sha256() == hashlib.sha256(whole).hexdigest()


def test_nothing_is_copied() -> None:
    array = np.zeros(10, np.uint8)
    pieces = Pieces([array.data])
    array[3] = 7
    assert b"".join(pieces.chunks(4)) == bytes(array)
