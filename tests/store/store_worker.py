"""What the contract tests start as processes of their own: many threads that write to one store at once."""

from __future__ import annotations

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from olivine.store import Store, open_store


def create_once(store: Store, writer: str) -> int:
    """1 when this writer created the object."""
    return int(store.create("race/one", writer.encode()))


def count_up(store: Store, writer: str) -> int:
    """Add one to the counter, however often others are faster."""
    for _ in range(100_000):
        ref = store.read_ref("counter")
        number = int(ref.content.split()[0]) if ref else 0
        if store.move_ref("counter", f"{number + 1} {writer}".encode(), ref):
            return 1
        time.sleep(random.random() * 0.05)
    raise AssertionError("never got through")


def main(action: str, url: str, process: str, threads: str) -> None:
    """Run one action in every thread and print how many reported success."""
    store = open_store(url)
    act = {"create": create_once, "count": count_up}[action]
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(int(threads)) as pool:
        print(sum(pool.map(lambda thread: act(store, f"{process}-{thread}"), range(int(threads)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
