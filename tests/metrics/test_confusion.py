"""The confusion matrix against counting one point at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import DataError
from olivine.metrics.confusion import Confusion


@settings(max_examples=500, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=80),
    cut=st.integers(0, 80),
    dtype=st.sampled_from([np.uint8, np.int64]),
)
def test_equals_counting_and_is_additive(pairs, cut, dtype):
    expected = [[0] * 7 for _ in range(7)]
    for target, prediction in pairs:
        expected[target][prediction] += 1
    confusion = Confusion(7)
    for part in (pairs[:cut], pairs[cut:]):
        target_N, prediction_N = np.array(part, dtype).reshape(-1, 2).T
        confusion.add(target_N, prediction_N)
    assert confusion.counts_CC.tolist() == expected
    assert confusion.counts_CC.dtype == np.int64


def test_the_largest_category_table_that_fits_its_slots():
    confusion = Confusion(255)
    confusion.add(np.array([254, 0], np.uint8), np.array([254, 1], np.uint8))
    assert confusion.counts_CC[254, 254] == 1
    assert confusion.counts_CC[0, 1] == 1


def test_counts_beyond_what_float32_holds():
    confusion = Confusion(3)
    confusion.counts_CC[1, 1] = 2**40
    confusion.add(np.array([1]), np.array([1]))
    assert confusion.counts_CC[1, 1] == 2**40 + 1


@pytest.mark.parametrize(
    ("target", "prediction", "reason"),
    [
        ([1, 2], [1, 0], "sweep.bin: prediction 0 is outside 1..2"),
        ([0, 2], [0, 1], "sweep.bin: prediction 0 is outside 1..2"),
        ([1, 2], [1, 3], "sweep.bin: prediction 3 is outside"),
        ([1, 3], [1, 1], "sweep.bin: target 3 is outside 0..2"),
        ([1, -1], [1, 1], "sweep.bin: target -1 is outside"),
        ([1, 2], [1], "sweep.bin: 1 predictions for 2 points"),
        ([1.0, 2.0], [1, 1], "sweep.bin: target labels are float64"),
        ([[1, 2]], [[1, 1]], "sweep.bin"),
    ],
)
def test_refuses_what_cannot_be_scored(target, prediction, reason):
    confusion = Confusion(3)
    with pytest.raises(DataError, match=reason):
        confusion.add(np.array(target), np.array(prediction), where="sweep.bin")
    assert not confusion.counts_CC.any()
