"""The order of samples: a function of the seed alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivine.errors import UsageError
from olivine.training.order import Order


@st.composite
def orders(draw):
    batch_size = 4 * draw(st.integers(1, 4))
    num_samples = draw(st.integers(batch_size, 70))
    return Order(num_samples, batch_size, draw(st.integers(1, 4)), draw(st.integers(0, 2**31 - 1)))


@given(orders())
def test_global_batches_are_the_same_for_any_number_of_ranks(order):
    whole = [batch.positions for batch in order.batches()]
    for size in (2, 4):
        shares = [list(order.batches(rank=rank, world_size=size)) for rank in range(size)]
        joined = [sum((share[step].positions for share in shares), ()) for step in range(order.num_steps)]
        assert joined == whole


@given(orders(), st.data())
def test_a_resumed_order_goes_on_where_it_was(order, data):
    first = data.draw(st.integers(0, order.num_steps))
    assert list(order.batches(first)) == list(order.batches())[first:]


@given(orders())
def test_an_epoch_shows_no_keyframe_twice(order):
    epochs = {}
    for number, batch in enumerate(order.batches()):
        assert batch.step == number
        assert batch.epoch == number // order.steps_per_epoch
        assert len(batch.positions) == order.batch_size
        epochs.setdefault(batch.epoch, []).extend(batch.positions)
    assert len(epochs) == order.num_epochs
    for positions in epochs.values():
        assert len(set(positions)) == len(positions) == order.steps_per_epoch * order.batch_size
        assert set(positions) <= set(range(order.num_samples))


def test_epochs_and_seeds_differ():
    positions = [batch.positions for batch in Order(64, 64, 2, 0).batches()]
    assert positions[0] != positions[1]
    assert next(Order(64, 64, 1, 1).batches()).positions != positions[0]


def test_too_few_samples_and_unequal_shares():
    with pytest.raises(UsageError, match="3 keyframes do not fill one batch of 4: give more drives or a smaller"):
        Order(3, 4, 1, 0)
    with pytest.raises(UsageError, match="batch_size 4 is not a multiple of 3 processes"):
        Order(8, 4, 1, 0).share(3)
    with pytest.raises(UsageError, match="batch_size 4 is not a multiple of 3 processes"):
        next(Order(8, 4, 1, 0).batches(world_size=3))
