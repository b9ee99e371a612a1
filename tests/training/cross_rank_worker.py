"""One of several gloo processes: a small network on its share of the rows. Usage: RANK SIZE FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from olivine.training.cross_rank import gather_rows, share_batch_norm

ROWS = (3, 0, 5, 4)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=0.3), nn.ReLU(), nn.Linear(6, 3)).double()


def rows():
    generator = torch.Generator().manual_seed(1)
    return torch.split(torch.randn(sum(ROWS), 4, generator=generator, dtype=torch.float64), ROWS)


def loss_of(features_ND):
    return (features_ND @ features_ND.T).logsumexp(dim=1).mean()


def main(rank, size, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    model = network()
    share_batch_norm(model)
    model.train()
    mine = torch.cat(rows()[rank * len(ROWS) // size : (rank + 1) * len(ROWS) // size])
    gathered_ND = gather_rows(model(mine))
    labels = gather_rows(torch.arange(len(mine)) + 100 * rank)
    loss = loss_of(gathered_ND)
    loss.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        # As the engine does.
        torch.distributed.all_reduce(parameter.grad)
        gradients[name] = parameter.grad / size
    found = {"loss": loss.detach(), "labels": labels, "state": model.state_dict(), "gradients": gradients}
    torch.save(found, Path(folder, f"{rank}.pt"))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
