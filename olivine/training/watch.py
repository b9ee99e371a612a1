"""Who hangs: every process says where it is, and when the one that is furthest behind stands still, all of them fail.

A process in a collective waits for the others and cannot tell who is missing; its watching thread can. That thread also
says once a second that it lives: a process that is stopped, or whose machine is gone, is found wherever it was.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

from olivine.errors import PeerError

_LOOK_EVERY_S = 1.0
_LOOKS_BEFORE_SLOW = 120
_SLOW_SHARE = 0.5
_PATIENCE = {"start": 10.0, "checkpoint": 20.0}
"""What may take longer than a step, by how many times."""


class Watch:
    """Use as a context manager around the training loop; `at` says what this process begins now.

    Every process goes through the same sequence of `at`, so the one with the fewest is behind. `fail` ends the process
    by default: nothing else ends one that waits in a collective.
    """

    def __init__(
        self, rank: int, size: int, peers: Any, hang_s: float, fail: Callable[[PeerError], None] | None = None
    ) -> None:
        self._rank, self._size, self._hang_s = rank, size, hang_s
        self._fail = fail or _end
        self._moves, self._doing, self._beats = 0, "start", 0
        self._store = _own_connection(peers) if size > 1 else None
        self._over = threading.Event()
        self._changed: dict[int, tuple[list[Any], float]] = {}
        self._heard_beats: dict[int, tuple[int, float]] = {}
        self._last: Counter[int] = Counter()
        self._looks = 0
        self._thread = threading.Thread(target=self._run, name="olivine-watch", daemon=True)

    def at(self, doing: str, step: int) -> None:
        """This process begins `doing` (`data`, `forward`, `backward`, `checkpoint`) of `step`."""
        self._moves += 1
        self._doing = f"{doing} of step {step}"

    def __enter__(self) -> Watch:
        if self._store is not None:
            # At once: whoever never spoke may still be starting, which may take long.
            self._tell()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            try:
                self._tell()
                problem = self.look(self._heard(), time.monotonic())
            except RuntimeError:
                # The store went with its process; whoever is left hears of that from the collective.
                return
            if problem and not self._over.is_set():
                self._fail(problem)
                return

    def _tell(self) -> None:
        assert self._store is not None
        self._beats += 1
        self._store.set(f"olivine/watch/{self._rank}", json.dumps([self._moves, self._doing, self._beats]))

    def _heard(self) -> dict[int, list[Any]]:
        assert self._store is not None
        keys = {rank: f"olivine/watch/{rank}" for rank in range(self._size)}
        return {rank: json.loads(self._store.get(key)) for rank, key in keys.items() if self._store.check([key])}

    def look(self, heard: dict[int, list[Any]], now_s: float) -> PeerError | None:
        """What to fail with, given `[moves, doing, beats]` of each process that was heard of, at a time [s]."""
        if silent := self._silent(heard, now_s):
            doing = heard[silent[0]][1]
            return _problem(self._hang_s, f"{_ranks(silent)} hangs in {doing} and the others wait for it")
        for rank in range(self._size):
            place = heard.get(rank, [0, "start"])[:2]
            if rank not in self._changed or self._changed[rank][0] != place:
                self._changed[rank] = (place, now_s)
        fewest = min(place[0] for place, _ in self._changed.values())
        behind = [rank for rank, (place, _) in self._changed.items() if place[0] == fewest]
        self._count_slow(behind)
        # All that are behind must stand still: one that comes late has only just arrived where the others wait.
        still_s = now_s - max(self._changed[rank][1] for rank in behind)
        doing = self._changed[behind[0]][0][1]
        if still_s < self._hang_s * _PATIENCE.get(doing.split()[0], 1.0):
            return None
        if len(behind) == self._size:
            what = f"no rank is behind the others, all {self._size} hang in {doing}: look at the network"
        else:
            what = f"{_ranks(behind)} hangs in {doing} and the others wait for it"
        return _problem(still_s, what)

    def _silent(self, heard: dict[int, list[Any]], now_s: float) -> list[int]:
        """Those whose thread has not said for `hang_s` that it lives, of all that ever did."""
        for rank, (_, _, beats) in heard.items():
            if self._heard_beats.get(rank, (0, 0.0))[0] != beats:
                self._heard_beats[rank] = (beats, now_s)
        return [rank for rank, (_, at_s) in sorted(self._heard_beats.items()) if now_s - at_s >= self._hang_s]

    def _count_slow(self, behind: list[int]) -> None:
        self._looks += 1
        if len(behind) == 1:
            self._last[behind[0]] += 1
        if self._looks < _LOOKS_BEFORE_SLOW:
            return
        for rank, times in self._last.items():
            if self._rank == 0 and times > _SLOW_SHARE * self._looks:
                share = round(times / self._looks, 2)
                print(json.dumps({"slow_rank": rank, "share_of_looks_behind": share}), file=sys.stderr, flush=True)
        self._looks = 0
        self._last.clear()


def _ranks(ranks: list[int]) -> str:
    return f"rank {', '.join(map(str, ranks))}"


def _problem(still_s: float, what: str) -> PeerError:
    return PeerError(f"no progress for {still_s:.0f} s: {what}. Run the same command again to go on.")


def _own_connection(peers: Any) -> Any:
    """One store is not shared by threads: a wait in one would block the other."""
    return peers.clone() if hasattr(peers, "clone") else peers


def _end(problem: PeerError) -> None:
    from olivine.training.launch import write_error_file

    write_error_file(problem)
    print(f"olivine: {problem}", file=sys.stderr, flush=True)
    os._exit(problem.exit_code)
