"""One of three ranks of the test that every rank holds the keys of all: `python queue_worker.py RANK FOLDER`."""

import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from olivine.losses.momentum import KeyQueue

WORLD_SIZE = 3
# Of five keys a step, by rank: unequal shares, one of them empty.
BOUNDS = [0, 3, 3, 5]


def run(rank: int, folder: Path) -> None:
    """Write two steps' keys, save the buffers."""
    store = distributed.FileStore(str(folder / "store"), WORLD_SIZE)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=WORLD_SIZE, timeout=timedelta(seconds=60))
    queue = KeyQueue(7, 2)
    for first in (1, 6):
        keys = torch.arange(first, first + 5, dtype=torch.float32)[:, None].expand(-1, 2)
        queue.enqueue(keys[slice(*BOUNDS[rank : rank + 2])])
    torch.save(queue.state_dict(), folder / f"state{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    run(int(sys.argv[1]), Path(sys.argv[2]))
