"""One rank of the test that statistics do not depend on the number of ranks: `python vmf_worker.py RANK FOLDER`.

Four processes start once; then 4, 2 and 1 of them form a group, share the same points unevenly and update.
"""

import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from olivine.losses.vmf import VonMisesFisher

NUM_CATEGORIES, DIM, NUM_STEPS = 5, 8, 3
# The last share is empty with 4 ranks; category 4 occurs in one point alone.
BOUNDS = {1: [0, 60], 2: [0, 47, 60], 4: [0, 13, 14, 60, 60]}


def points_of(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features [60, DIM] and categories, some of them ignored; category 3 is absent in every other step."""
    generator = torch.Generator().manual_seed(step)
    features = torch.randn(60, DIM, generator=generator)
    categories = torch.randint(-1, 3 + step % 2, (60,), generator=generator)
    categories[13] = 4
    return torch.nn.functional.normalize(features, dim=1), categories


def run(rank: int, world_size: int, folder: Path) -> None:
    """Join a group of `world_size`, update on this rank's share, save the buffers."""
    store = distributed.FileStore(str(folder / f"store{world_size}"), world_size)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size, timeout=timedelta(seconds=60))
    statistics = VonMisesFisher(NUM_CATEGORIES, DIM, update_rate=0.1)
    share = slice(*BOUNDS[world_size][rank : rank + 2])
    for step in range(NUM_STEPS):
        features, categories = points_of(step)
        statistics.update(features[share], categories[share], num_samples=4 // world_size)
    torch.save(statistics.state_dict(), folder / f"state{world_size}.{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    for size in (4, 2, 1):
        if int(sys.argv[1]) < size:
            run(int(sys.argv[1]), size, Path(sys.argv[2]))
