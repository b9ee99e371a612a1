"""One to 64 processes without a model: the loader's order and the checkpoint's shards, as a large job would have them."""

from __future__ import annotations

import threading

import pytest
import torch

from olivine.artifacts import begin
from olivine.store import open_store
from olivine.training.checkpoint import Checkpoint, Place, load_checkpoint, save_checkpoint
from olivine.training.order import Order
from olivine.training.shards import cut_state, join_state

SIZES = (1, 2, 4, 8, 16, 32, 64)
SHAPES = {0: torch.Size([27, 8, 16]), 1: torch.Size([16]), 2: torch.Size([1])}


def state():
    generator = torch.Generator().manual_seed(0)
    return {f"{number}.exp_avg": torch.randn(shape, generator=generator) for number, shape in SHAPES.items()}


@pytest.mark.parametrize("size", SIZES)
def test_one_order_of_keyframes(size):
    order = Order(28_130, 64, 1, 7)
    whole = list(order.batches(400))
    shares = [list(order.batches(400, rank, size)) for rank in range(size)]
    for step, batch in enumerate(whole):
        assert sum((share[step].positions for share in shares), ()) == batch.positions
        parts = [part for share in shares for part in share[step].parts(64 // size)]
        assert sum((part.positions for part in parts), ()) == batch.positions


@pytest.mark.parametrize("size", SIZES)
def test_one_checkpoint_of_all_shards_whoever_is_first(tmp_path, size):
    """All at once, in threads, and the first process before the last shard."""
    store, whole = open_store(str(tmp_path)), state()
    late = threading.Event()

    def write(rank):
        if rank == size - 1 and rank > 0:
            assert late.wait(60)
        out = begin(store, "pretrain", "backbone", {}, {"size": size}, seed=0)
        shard = {f"optimizer-{rank:05d}": cut_state(whole, rank, size)}
        save_checkpoint(out, Checkpoint(3, shard, {"rank": rank}), Place(rank, size, "run"))

    threads = [threading.Thread(target=write, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    out = begin(store, "pretrain", "backbone", {}, {"size": size}, seed=0)
    if size > 1:
        assert load_checkpoint(out) is None, "no manifest before the last shard"
    late.set()
    for thread in threads:
        thread.join()
    found = load_checkpoint(out)
    assert (found.step, found.notes, len(found.tensors)) == (3, {"rank": 0}, size)
    joined = join_state(found.tensors.values(), SHAPES)
    assert all(torch.equal(joined[name], tensor) for name, tensor in whole.items())
