"""Momentum contrast against a double loop, and the queue of keys in one process and over ranks."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from olivine.errors import DataError, UsageError
from olivine.losses.momentum import KeyQueue, queue_info_nce

WORKER = Path(__file__).parent / "queue_worker.py"


def written_out(queries, keys, queue, temperature):
    """The formula in Python's float64."""
    losses = []
    for query, key in zip(queries.tolist(), keys.tolist(), strict=True):
        logits = [
            sum(a * b for a, b in zip(query, other, strict=True)) / temperature for other in [key, *queue.tolist()]
        ]
        highest = max(logits)
        losses.append(highest + math.log(sum(math.exp(logit - highest) for logit in logits)) - logits[0])
    return sum(losses) / len(losses)


def test_equals_the_formula(unit_features):
    scenes = unit_features(4), unit_features(4, seed=1), unit_features(30, seed=2)
    assert queue_info_nce(*scenes, 0.1).item() == pytest.approx(written_out(*scenes, 0.1), rel=1e-10)


def test_gradcheck(unit_features):
    inputs = (unit_features(3, dim=3), unit_features(3, dim=3, seed=1), unit_features(5, dim=3, seed=2))
    assert torch.autograd.gradcheck(lambda *scenes: queue_info_nce(*scenes, 0.3), inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_logits_of_100_also_under_autocast(unit_features, dtype):
    queries = unit_features(6, dtype=dtype)
    keys, queue = -queries.detach(), unit_features(50, seed=2, dtype=torch.float32).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = queue_info_nce(queries, keys, queue, 0.01)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(written_out(queries, keys, queue, 0.01), rel=1e-5)
    assert loss.item() > 100
    assert queries.grad.isfinite().all()


def test_an_empty_queue_leaves_nothing_to_contrast_with(unit_features):
    queries = unit_features(3)
    loss = queue_info_nce(queries, unit_features(3, seed=1), KeyQueue(10, 8).filled)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(queries.grad, torch.zeros_like(queries), rtol=0, atol=1e-12)


def test_no_scene_is_zero_with_a_graph(unit_features):
    queries = unit_features(0)
    loss = queue_info_nce(queries, unit_features(0, seed=1), unit_features(5, seed=2))
    loss.backward()
    assert loss.item() == 0
    assert queries.grad.shape == (0, 8)


def test_temperature_must_be_positive(unit_features):
    with pytest.raises(UsageError, match="temperature"):
        queue_info_nce(unit_features(2), unit_features(2), unit_features(2), temperature=0)


def numbered(first: int, last: int) -> torch.Tensor:
    return torch.arange(first, last, dtype=torch.float32)[:, None].expand(-1, 2)


def test_queue_holds_the_newest_keys():
    queue = KeyQueue(5, 2)
    assert queue.filled.shape == (0, 2)
    for first, last, held in [
        (1, 4, [1, 2, 3]),
        (4, 7, [2, 3, 4, 5, 6]),
        (7, 7, [2, 3, 4, 5, 6]),
        (7, 20, [15, 16, 17, 18, 19]),
    ]:
        queue.enqueue(numbered(first, last))
        assert sorted(queue.filled[:, 0].tolist()) == held
        assert queue.num_filled.item() == len(held)


def test_queue_overwrites_the_oldest_also_past_its_end():
    queue = KeyQueue(4, 2)
    for first in range(1, 12, 3):
        queue.enqueue(numbered(first, first + 3))
    assert sorted(queue.filled[:, 0].tolist()) == [9, 10, 11, 12]
    queue.enqueue(numbered(13, 14))
    assert sorted(queue.filled[:, 0].tolist()) == [10, 11, 12, 13]


def test_queue_takes_half_precision_without_graph_and_leaves_out_what_is_not_finite(unit_features):
    keys = unit_features(4, dtype=torch.float16)
    broken = keys.detach().clone()
    broken[1, 2] = float("inf")
    queue = KeyQueue(8, 8)
    queue.enqueue(keys * 1)
    queue.enqueue(broken)
    assert queue.num_filled.item() == 7
    assert queue.keys_QD.dtype == torch.float32
    assert not queue.keys_QD.requires_grad
    torch.testing.assert_close(queue.filled[:4], keys.detach().float())


def test_enqueue_may_come_before_the_backward_pass(unit_features):
    queue, queries = KeyQueue(3, 8), unit_features(3, dtype=torch.float32)
    keys = unit_features(3, seed=1, dtype=torch.float32).detach()
    queue.enqueue(unit_features(3, seed=2))
    loss = queue_info_nce(queries, keys, queue.filled)
    queue.enqueue(keys)
    loss.backward()
    assert queries.grad.any()


def test_queue_goes_on_from_its_checkpoint():
    queue, resumed = KeyQueue(4, 2), KeyQueue(4, 2)
    queue.enqueue(numbered(1, 7))
    resumed.load_state_dict(queue.state_dict())
    for each in (queue, resumed):
        each.enqueue(numbered(7, 10))
    assert torch.equal(queue.keys_QD, resumed.keys_QD)
    assert queue.num_filled == resumed.num_filled == 4
    assert list(queue.parameters()) == []


def test_all_ranks_hold_the_keys_of_all(tmp_path):
    """Unequal shares, one of them empty: every rank ends with the queue that one process would have."""
    ranks = [
        subprocess.Popen([sys.executable, WORKER, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(3)
    ]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], "\n".join(errors)
    single = KeyQueue(7, 2)
    for first in (1, 6):
        single.enqueue(numbered(first, first + 5))
    for path in tmp_path.glob("state*.pt"):
        state = torch.load(path)
        assert all(torch.equal(value, single.state_dict()[name]) for name, value in state.items())
    assert len(list(tmp_path.glob("state*.pt"))) == 3


def test_wrong_sizes_are_refused():
    for size, dim in ((0, 2), (2, 0)):
        with pytest.raises(UsageError, match="queue"):
            KeyQueue(size, dim)
    with pytest.raises(DataError, match="width 2"):
        KeyQueue(4, 2).enqueue(torch.zeros(1, 3))
