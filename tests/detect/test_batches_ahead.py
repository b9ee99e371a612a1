"""Batches come in the order of the steps, whichever is made first."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from olivine.detect.ahead import batches_ahead
from olivine.errors import DataError
from olivine.training.order import Order

NAMES = ["a", "b", "c", "d", "e", "f"]
WAIT_S = 30


def asked(order):
    return [([NAMES[position] for position in place.positions], place.epoch) for place in order.batches(0)]


def test_the_order_is_that_of_the_steps_even_when_a_later_batch_is_made_first():
    order, later_is_made = Order(6, 2, 3, seed=1), threading.Event()

    def make(names, epoch):
        if (names, epoch) == asked(order)[0]:
            assert later_is_made.wait(WAIT_S), "no other batch is made meanwhile"
        if (names, epoch) == asked(order)[2]:
            later_is_made.set()
        return names, epoch

    found = list(batches_ahead(SimpleNamespace(batch=make), NAMES, order.batches(0)))
    assert [place.step for place, _ in found] == list(range(9))
    assert [batch for _, batch in found] == asked(order)


def test_an_error_comes_in_its_turn():
    order = Order(6, 2, 1, seed=1)

    def make(names, epoch):
        if (names, epoch) == asked(order)[1]:
            raise DataError("a frame is bad")
        return names

    batches = batches_ahead(SimpleNamespace(batch=make), NAMES, order.batches(0))
    assert next(batches)[1] == asked(order)[0][0]
    with pytest.raises(DataError, match="a frame is bad"):
        next(batches)


def test_what_is_closed_makes_no_more():
    made = []
    batches = batches_ahead(
        SimpleNamespace(batch=lambda names, epoch: made.append(names)), NAMES, Order(6, 2, 50, seed=1).batches(0)
    )
    next(batches)
    batches.close()
    assert 1 <= len(made) <= 4
