"""Optimiser state cut by one number of processes and read by another."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olivine.errors import IntegrityError
from olivine.training.shards import cut_state, join_state

SHAPES = {0: torch.Size([3, 5]), 1: torch.Size([1]), 2: torch.Size([7])}


def state():
    generator = torch.Generator().manual_seed(0)
    tensors = {f"{number}.exp_avg": torch.randn(shape, generator=generator) for number, shape in SHAPES.items()}
    return tensors | {f"{number}.step": torch.tensor(4.0) for number in SHAPES}


@given(st.integers(1, 64))
def test_cut_by_any_number_of_processes(size):
    whole = state()
    found = join_state([cut_state(whole, rank, size) for rank in range(size)], SHAPES)
    assert found.keys() == whole.keys()
    for name, tensor in whole.items():
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)


@given(st.integers(2, 8), st.data())
def test_a_missing_shard_is_found(size, data):
    shards = [cut_state(state(), rank, size) for rank in range(size)]
    lost = data.draw(st.sampled_from([rank for rank in range(size) if shards[rank]]))
    try:
        found = join_state([shard for rank, shard in enumerate(shards) if rank != lost], SHAPES)
    except IntegrityError:
        return
    assert found.keys() != state().keys(), "a whole field may be gone, but no part of one"


def test_overlapping_pieces_are_refused():
    pieces = {"0.exp_avg@0": torch.zeros(10), "0.exp_avg@5": torch.zeros(10)}
    with pytest.raises(IntegrityError, match=r"optimiser state 0.exp_avg do not fit together"):
        join_state([pieces], SHAPES)
