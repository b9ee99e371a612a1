"""Instances as they are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from olivine.errors import IntegrityError
from olivine.label.instances import (
    Instances,
    decode_mask,
    encode_mask,
    instances_bytes,
    join_instances,
    none_found,
    read_instances,
)

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 9)))


@given(MASKS)
def test_runs_give_the_mask_back(mask_HW):
    runs = encode_mask(mask_HW)
    assert np.array_equal(decode_mask(runs, mask_HW.shape), mask_HW)
    assert runs[1::2].sum() == mask_HW.sum()
    assert (runs[1:] > 0).all()


@given(MASKS)
def test_runs_are_those_of_the_coco_tools(mask_HW):
    """pycocotools counts column by column, which is row by row of the transposed mask."""
    mask = pytest.importorskip("pycocotools.mask")
    runs = {"size": list(mask_HW.shape), "counts": encode_mask(np.ascontiguousarray(mask_HW.T)).tolist()}
    assert np.array_equal(mask.decode(mask.frPyObjects(runs, *mask_HW.shape)), mask_HW)


@pytest.mark.parametrize("runs", [[3, 2], [54, 1], [], [-1, 55]])
def test_runs_of_another_size_are_refused(runs):
    with pytest.raises(IntegrityError, match="no mask of 9 x 6 pixels"):
        decode_mask(np.array(runs, np.int32), (6, 9))


def some(count, seed=0):
    generator = np.random.default_rng(seed)
    return Instances(
        generator.random((count, 4)).astype(np.float32),
        generator.random(count).astype(np.float32),
        generator.integers(0, 9, count).astype(np.uint8),
        generator.random(count).astype(np.float32),
        [f"prompt {number}" for number in range(count)],
        [encode_mask(generator.random((6, 9)) > 0.5) for _ in range(count)],
    )


def assert_equal(one, other):
    for name in ("box_K4", "score_K", "category_K", "quality_K"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert one.prompts == other.prompts
    assert [runs.tolist() for runs in one.runs] == [runs.tolist() for runs in other.runs]


def test_a_file_gives_them_back_and_joined_files_too():
    first = [("a", "CAM_FRONT", some(3)), ("a", "CAM_BACK", none_found()), ("b", "CAM_FRONT", some(2, 1))]
    second = [("c", "CAM_FRONT", some(1, 2))]
    read = read_instances(join_instances([instances_bytes(first), instances_bytes(second)]), "here")
    expected = {(token, camera): found for token, camera, found in first + second if len(found)}
    assert read.keys() == expected.keys()
    for key, found in expected.items():
        assert_equal(read[key], found)


def test_the_same_instances_are_the_same_bytes():
    assert instances_bytes([("a", "CAM_FRONT", some(3))]) == instances_bytes([("a", "CAM_FRONT", some(3))])


def test_no_instances_at_all():
    assert read_instances(join_instances([instances_bytes([])]), "here") == {}


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no table"])
def test_what_is_no_table_is_named(data):
    with pytest.raises(IntegrityError, match=r"instances/0\.parquet: no table of instances"):
        read_instances(data, "instances/0.parquet")
