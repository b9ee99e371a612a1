"""Places are given in the order of asking, to so many at once."""

from __future__ import annotations

import threading
import time

from olivine.platform.turns import Turns


def test_a_thread_that_frees_a_place_queues_behind_those_who_wait():
    turns, order, go = Turns(1), [], threading.Event()

    def branch(name: str) -> None:
        for part in range(2):
            with turns:
                order.append((name, part))
                go.wait(60)

    first, second = (threading.Thread(target=branch, args=(name,)) for name in "ab")
    first.start()
    while not order:
        time.sleep(0.001)
    second.start()
    while not turns._waiting:
        time.sleep(0.001)
    go.set()
    first.join(60)
    second.join(60)
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_no_more_than_the_places_are_inside():
    turns, inside, most = Turns(2), set(), []

    def branch(name: int) -> None:
        for _ in range(50):
            with turns:
                inside.add(name)
                most.append(len(inside))
                time.sleep(0)
                inside.discard(name)

    threads = [threading.Thread(target=branch, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 300
    assert max(most) == 2
