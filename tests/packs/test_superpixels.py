"""Superpixels as members of a head: what is written is read, and what is not that is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from olivine.errors import DataError, IntegrityError
from olivine.packs.superpixels import NO_SUPERPIXEL, PAIR_MEMBER, Superpixels, read_superpixels, superpixel_members


def some(seed=0, size=(5, 7)):
    rng = np.random.default_rng(seed)
    return Superpixels(
        rng.integers(0, NO_SUPERPIXEL, 20, dtype=np.uint16, endpoint=True),
        rng.integers(0, NO_SUPERPIXEL, (6, *size), dtype=np.uint16, endpoint=True),
    )


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_all_sixteen_bits_come_back(seed, size):
    stored = some(seed, size)
    read = read_superpixels(superpixel_members(stored))
    for name in ("pair_superpixel_M", "maps_IHW"):
        assert getattr(read, name).dtype == np.uint16
        assert np.array_equal(getattr(read, name), getattr(stored, name))


def test_the_same_superpixels_give_the_same_bytes():
    assert superpixel_members(some()) == superpixel_members(some())


def test_weak_labels_without_superpixels_are_named():
    with pytest.raises(DataError, match=r"hold no superpixels: label with label\.superpixels=slic or masks"):
        read_superpixels({"pair_label.npy": b""})


def eight_bit(map_HW):
    buffer = io.BytesIO()
    Image.fromarray(map_HW.astype(np.uint8)).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda head: head.pop("superpixels_3.png"), r"superpixels_3\.png: no readable superpixel map"),
        (lambda head: head.update({"superpixels_0.png": b"png"}), r"superpixels_0\.png: no readable superpixel map"),
        (
            lambda head: head.update({"superpixels_5.png": head["superpixels_5.png"][:-30]}),
            r"superpixels_5\.png: no readable superpixel map",
        ),
        (
            lambda head: head.update({"superpixels_1.png": eight_bit(np.zeros((5, 7)))}),
            r"superpixels_1\.png: not a 16-bit map but L",
        ),
        (lambda head: head.update({PAIR_MEMBER: b"npy"}), "not an .npy array"),
    ],
)
def test_damage_is_named(spoil, message):
    head = superpixel_members(some())
    spoil(head)
    with pytest.raises(IntegrityError, match=message):
        read_superpixels(head)
