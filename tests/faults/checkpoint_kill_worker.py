"""Save checkpoints in forked children, kill them at random instants, and look at what can be loaded afterwards.

A process of its own, so that forking is safe and quick. Usage: FOLDER CONTENDER RANKS TRIES, with a contender of
`checkpoint_contenders`. Prints one JSON line: tries, and how many left the newest finished checkpoint loadable, left
one that is not whole, or lost it; `saved` counts the steps that were gone on by.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

warnings.simplefilter("ignore")

import torch  # noqa: E402
from checkpoint_contenders import BROKEN, CONTENDERS  # noqa: E402

# A forked child has none of its parent's threads.
torch.set_num_threads(1)
# Kills come within half a second, or within a few saves where the machine is slow.
LONGEST_S, SAVES = 0.5, 3
READY = 0


def fork(act: Callable[[], object]) -> int:
    """A child that acts and ends, silent on the standard output."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            act()
            os._exit(0)
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    return pid


def say(pipe: int, number: int) -> None:
    os.write(pipe, number.to_bytes(4, "little", signed=True))


def hear(pipe: int) -> int:
    """The next number; an error when all who could say one are gone."""
    word = os.read(pipe, 4)
    if not word:
        raise RuntimeError("a process ended before it was killed")
    return int.from_bytes(word, "little", signed=True)


class Ranks:
    """Processes that save one checkpoint after the other, from step `first` on."""

    def __init__(self, contender, ranks: int, first: int, run: str, num: int = 1000) -> None:
        self.pipe, said = os.pipe()
        meeting = multiprocessing.Barrier(ranks)

        def ready() -> None:
            say(said, READY)
            # A rank whose peer was killed ends with an error, which is no news.
            os.dup2(1, 2)

        def act(rank: int) -> None:
            def saved(step: int) -> None:
                if contender.meets:
                    meeting.wait()
                if rank == 0:
                    say(said, step)

            contender.train(range(first, first + num), rank, run, ready, saved)

        self.pids = [fork(lambda rank=rank: act(rank)) for rank in range(ranks)]
        os.close(said)
        for _ in range(ranks):
            hear(self.pipe)

    def end(self) -> list[int]:
        """Wait for all; the steps that were finished and not yet heard of."""
        for pid in self.pids:
            os.waitpid(pid, 0)
        steps = []
        while select.select([self.pipe], [], [], 0)[0] and (word := os.read(self.pipe, 4)):
            steps.append(int.from_bytes(word, "little", signed=True))
        os.close(self.pipe)
        return steps


def look(contender, ranks: int, run: str) -> int:
    """The step that can be loaded, the same on every rank, or BROKEN."""
    if not contender.loads_together:
        return contender.load(0)
    pipe, said = os.pipe()

    def act(rank: int) -> None:
        contender.open(rank, f"look-{run}")
        say(said, contender.load(rank))

    pids = [fork(lambda rank=rank: act(rank)) for rank in range(ranks)]
    os.close(said)
    found = {hear(pipe) for _ in pids}
    for pid in pids:
        os.waitpid(pid, 0)
    os.close(pipe)
    return found.pop() if len(found) == 1 else BROKEN


def one_try(contender, ranks: int, first: int, draw: random.Random, run: str, longest_s: float) -> tuple[int, int]:
    """Start all ranks and kill one of them, then the rest; the last finished step, and what is loaded."""
    saving = Ranks(contender, ranks, first, run)
    time.sleep(draw.uniform(0, longest_s))
    victim = draw.choice(saving.pids)
    os.kill(victim, signal.SIGKILL)
    # The others go on for a moment, as they would until a launcher notices.
    if ranks > 1:
        time.sleep(0.05)
    for pid in saving.pids:
        if pid != victim:
            os.kill(pid, signal.SIGKILL)
    return max(saving.end(), default=first - 1), look(contender, ranks, run)


def main(folder: str, name: str, ranks: int, tries: int) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    contender = CONTENDERS[name](Path(folder), ranks)
    last = 2
    warm = Ranks(contender, ranks, 1, "warm", num=last)
    hear(warm.pipe)
    start_s = time.perf_counter()
    hear(warm.pipe)
    longest_s = max(LONGEST_S, SAVES * (time.perf_counter() - start_s))
    warm.end()
    draw = random.Random(0)
    report = {"tries": tries, "survived": 0, "half_written": 0, "lost": 0, "saved": 0}
    for number in range(tries):
        finished, loaded = one_try(contender, ranks, last + 1, draw, f"try-{number}", longest_s)
        good = loaded >= max(finished, last)
        report["survived"] += good
        report["half_written"] += loaded == BROKEN
        report["lost"] += not good and loaded != BROKEN
        report["saved"] += max(loaded, finished, last) - last
        last = max(loaded, finished, last)
        if loaded == BROKEN:
            Ranks(contender, ranks, last, f"repair-{number}", num=1).end()
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
