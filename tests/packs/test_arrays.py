from __future__ import annotations

import pickle

import numpy as np
import pytest

from olivine.errors import IntegrityError
from olivine.packs import array_bytes, bytes_array


@pytest.mark.parametrize("array", [np.arange(12, dtype=np.int16).reshape(3, 4), np.zeros((0, 3), np.float32)])
def test_round_trip(array):
    found = bytes_array(array_bytes(array[:, ::-1]))
    assert found.dtype == array.dtype
    assert np.array_equal(found, array[:, ::-1])


def test_objects_are_neither_written_nor_read():
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="Object arrays"):
        array_bytes(objects)
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n"
    with pytest.raises(IntegrityError, match=r"not an .npy array"):
        bytes_array(header + pickle.dumps(objects))


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"not an array at all", array_bytes(np.arange(100))[:-1]])
def test_damaged_arrays_are_refused(data):
    with pytest.raises(IntegrityError, match="Run the stage that made it again"):
        bytes_array(data)
