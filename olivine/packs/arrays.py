"""Arrays as .npy bytes, never pickled."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.errors import IntegrityError


def array_bytes(array: NDArray[Any]) -> bytes:
    """One array as an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def bytes_array(data: bytes) -> NDArray[Any]:
    """The array in an .npy file; IntegrityError when it is none (objects are refused, they would be pickles)."""
    try:
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise IntegrityError(f"not an .npy array: {error}. Run the stage that made it again.") from error
    return array
