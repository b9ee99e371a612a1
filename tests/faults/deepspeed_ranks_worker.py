"""F5 of others: a checkpoint that DeepSpeed's ZeRO-2 saved on two ranks, resumed on other numbers of ranks.

Usage: FOLDER RANKS..., prints one JSON line: tries, how many came back with the restored step and shards, and what
happened on each number.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path

import torch
from checkpoint_contenders import DeepSpeed
from checkpoint_kill_worker import Ranks, fork

torch.set_num_threads(1)
SAVED_ON, STEP, LIMIT_S = 2, 3, 60.0


def resume(folder: Path, ranks: int) -> str:
    """`restored`, or what the first rank that answers says instead."""
    contender = DeepSpeed(folder, ranks, zero_stage=2)
    pipe, said = os.pipe()

    def act(rank: int) -> None:
        contender.open(rank, f"on-{ranks}")
        try:
            _, found = contender.engine.load_checkpoint(str(contender.folder))
            answer = "restored" if found and found["step"] == STEP else "another state"
        except Exception as error:
            answer = type(error).__name__
        os.write(said, f"{answer}\n".encode())

    pids = [fork(lambda rank=rank: act(rank)) for rank in range(ranks)]
    os.close(said)
    answers = b""
    while answers.count(b"\n") < ranks and select.select([pipe], [], [], LIMIT_S)[0] and (word := os.read(pipe, 4096)):
        answers += word
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(pipe)
    others = [answer for answer in answers.decode().splitlines() if answer != "restored"]
    missing = [] if answers.count(b"\n") == ranks else ["no answer"]
    return (others + missing + ["restored"])[0]


def main(folder: str, numbers: list[int]) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    Ranks(DeepSpeed(Path(folder), SAVED_ON, zero_stage=2), SAVED_ON, STEP, "saved", num=1).end()
    found = {number: resume(Path(folder), number) for number in numbers}
    survived = sum(answer == "restored" for answer in found.values())
    print(json.dumps({"tries": len(found), "survived": survived, "lost": len(found) - survived, "by_ranks": found}))


if __name__ == "__main__":
    main(sys.argv[1], [int(word) for word in sys.argv[2:]])
