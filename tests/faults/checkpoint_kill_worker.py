"""Save checkpoints in forked children, kill them at random instants, and look at what can be loaded afterwards.

A process of its own, so that forking is safe and quick. Usage: FOLDER CONTENDER RANKS TRIES, with a contender of `ours`,
`torch_save` (one file, written over) and `deepspeed` (`save_checkpoint`, one rank). Prints one JSON line: tries, how
many were killed while they saved, and how many left the newest finished checkpoint loadable.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import torch  # noqa: E402

from olivine.artifacts import begin  # noqa: E402
from olivine.store import open_store  # noqa: E402
from olivine.training.checkpoint import Checkpoint, Keep, Place, load_checkpoint, save_checkpoint  # noqa: E402

# A forked child has none of its parent's threads.
torch.set_num_threads(1)
# Kills come within half a second, or within a few saves where the machine is slow.
LONGEST_S, SAVES = 0.5, 3
ELEMENTS = 400_000


def state(step: int, rank: int) -> dict[str, torch.Tensor]:
    return {name: torch.full((ELEMENTS,), float(step * 100 + rank)) for name in ("a", "b")}


def sound(tensors: dict[str, torch.Tensor], step: int, rank: int) -> bool:
    return all(torch.equal(tensors[name], value) for name, value in state(step, rank).items())


class Ours:
    """Checkpoints of an artifact in a store: every rank its shard, the first one the manifest."""

    def __init__(self, folder: Path, ranks: int) -> None:
        self.ranks, self.store = ranks, open_store(str(folder))

    def _out(self):
        return begin(self.store, "pretrain", "backbone", {}, {"seed": 1}, seed=1)

    def save(self, step: int, rank: int, run: str) -> None:
        place = Place(rank, self.ranks, run, patience_s=30)
        shard = Checkpoint(step, {f"shard-{rank}": state(step, rank)}, {"history": list(range(step))})
        save_checkpoint(self._out(), shard, place, keep=Keep(2))

    def load(self) -> int:
        """The step of the checkpoint that is found, 0 for none, -1 for one that is not whole."""
        found = load_checkpoint(self._out())
        if found is None:
            return 0
        whole = len(found.tensors) == self.ranks
        parts = all(sound(found.tensors.get(f"shard-{rank}", {}), found.step, rank) for rank in range(self.ranks))
        return found.step if whole and parts and found.notes["history"] == list(range(found.step)) else -1


class TorchSave:
    """`torch.save` to one file, as most training scripts do."""

    def __init__(self, folder: Path, ranks: int) -> None:
        self.file = folder / "checkpoint.pt"

    def save(self, step: int, rank: int, run: str) -> None:
        torch.save({"step": step, "model": state(step, rank)}, self.file)

    def load(self) -> int:
        if not self.file.exists():
            return 0
        try:
            found = torch.load(self.file, weights_only=True)
        except Exception:
            return -1
        return found["step"] if sound(found["model"], found["step"], 0) else -1


class DeepSpeed:
    """`DeepSpeedEngine.save_checkpoint`, found again by its file `latest`."""

    def __init__(self, folder: Path, ranks: int) -> None:
        from olivine.training.deepspeed_engine import _import_deepspeed, join_world

        os.environ.pop("RANK", None)
        join_world()
        module = torch.nn.Linear(ELEMENTS, 2, bias=False)
        config = {"train_batch_size": 1, "zero_optimization": {"stage": 0}, "steps_per_print": 10**9}
        self.engine, *_ = _import_deepspeed().initialize(
            model=module,
            optimizer=torch.optim.SGD(module.parameters(), lr=0.1),
            config=config | {"zero_allow_untested_optimizer": True},
            dist_init_required=False,
        )
        self.folder = folder

    def save(self, step: int, rank: int, run: str) -> None:
        with torch.no_grad():
            self.engine.module.weight.fill_(float(step))
        self.engine.save_checkpoint(str(self.folder), tag=f"step{step}", client_state={"step": step})

    def load(self) -> int:
        if not any(self.folder.iterdir()):
            return 0
        try:
            _, found = self.engine.load_checkpoint(str(self.folder))
        except Exception:
            return -1
        if not found:
            return 0
        right = torch.equal(self.engine.module.weight, torch.full_like(self.engine.module.weight, float(found["step"])))
        return found["step"] if right else -1


CONTENDERS = {"ours": Ours, "torch_save": TorchSave, "deepspeed": DeepSpeed}


def child(contender, rank: int, first: int, run: str, said: int) -> None:
    """Save one checkpoint after the other; say which are finished."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)
    for step in range(first, first + 1000):
        contender.save(step, rank, run)
        if rank == 0:
            os.write(said, step.to_bytes(4, "little"))


def finished_steps(pipe: int) -> list[int]:
    """Every finished step that was said."""
    steps = []
    while select.select([pipe], [], [], 0)[0] and (word := os.read(pipe, 4)):
        steps.append(int.from_bytes(word, "little"))
    return steps


def one_try(contender, ranks: int, first: int, draw: random.Random, run: str, longest_s: float) -> tuple[int, int]:
    """Start all ranks and kill one of them, then the rest; the last finished step, and what is loaded."""
    hear, said = os.pipe()
    children = []
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            try:
                child(contender, rank, first, run, said)
            finally:
                os._exit(1)
        children.append(pid)
    time.sleep(draw.uniform(0, longest_s))
    victims = [draw.choice(children)]
    os.kill(victims[0], signal.SIGKILL)
    # The others go on for a moment, as they would until a launcher notices.
    if ranks > 1:
        time.sleep(0.05)
    for pid in children:
        if pid not in victims:
            os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    os.close(said)
    steps = finished_steps(hear)
    os.close(hear)
    return max(steps, default=first - 1), contender.load()


def main(folder: str, name: str, ranks: int, tries: int) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    contender = CONTENDERS[name](Path(folder), ranks)
    last = 1
    # The last rank first: the first one waits for the others.
    for rank in reversed(range(ranks)):
        contender.save(last, rank, "warm")
    start_s = time.perf_counter()
    for rank in reversed(range(ranks)):
        contender.save(last + 1, rank, "timed")
    last += 1
    longest_s = max(LONGEST_S, SAVES * (time.perf_counter() - start_s))
    draw = random.Random(0)
    report = {"tries": tries, "survived": 0, "half_written": 0, "lost": 0, "saved": 0}
    for number in range(tries):
        finished, loaded = one_try(contender, ranks, last + 1, draw, f"try-{number}", longest_s)
        good = loaded >= max(finished, last)
        report["survived"] += good
        report["half_written"] += loaded == -1
        report["lost"] += not good and loaded != -1
        report["saved"] += max(loaded, last) - last
        if loaded == -1:
            contender.save(max(finished, last), 0, f"repair-{number}")
        last = max(loaded, finished, last)
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
