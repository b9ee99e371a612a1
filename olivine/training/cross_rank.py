"""Sums and rows over all processes with gradients, and batch normalisation built on them.

For losses that every process computes from the same gathered rows: the engine averages gradients over processes, so
the adjoint of a sum over processes is again a sum over processes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from olivine.losses.ranks import num_ranks


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        total = grads[0].clone().contiguous()
        torch.distributed.all_reduce(total)
        return total


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum of a tensor of the same shape over all processes, with a gradient."""
    if num_ranks() == 1:
        return values
    total: Tensor = _SumOverRanks.apply(values)
    return total


def gather_rows(rows_ND: Tensor) -> Tensor:
    """The rows of all processes in the order of their ranks, [sum of N, D], with a gradient. N may differ.

    Integers come without one. Each process puts its rows into a table of zeros and the tables are added, which costs
    as many times an all-gather's traffic as there are processes and is the same on every backend.
    """
    size = num_ranks()
    if size == 1:
        return rows_ND
    rank = torch.distributed.get_rank()
    counts = torch.zeros(size, dtype=torch.int64, device=rows_ND.device)
    counts[rank] = len(rows_ND)
    torch.distributed.all_reduce(counts)
    before, after = int(counts[:rank].sum()), int(counts[rank + 1 :].sum())
    padding = [0, 0] * (rows_ND.dim() - 1) + [before, after]
    return sum_over_ranks(nn.functional.pad(rows_ND, padding))


class CrossRankBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the rows of all processes, on any device: torch's SyncBatchNorm refuses the CPU.

    Sums are taken in float64, so that their order hardly matters.
    """

    def forward(self, input: Tensor) -> Tensor:
        """`input` [N, C], or [B, C, N]."""
        if not self.training:
            return super().forward(input)
        dims = [0] if input.dim() == 2 else [0, 2]
        shape = [1, -1] if input.dim() == 2 else [1, -1, 1]
        wide = input.double()
        count = wide.new_tensor([wide.numel() / wide.shape[1]])
        sums = sum_over_ranks(torch.cat([wide.sum(dims), wide.square().sum(dims), count]))
        mean_C, square_C = (part / sums[-1] for part in sums[:-1].chunk(2))
        variance_C = (square_C - mean_C.square()).clamp_min(0)
        self._follow(mean_C.detach(), variance_C.detach(), sums[-1].detach())
        scale_C = self.weight.double() / torch.sqrt(variance_C + self.eps)
        normal = (wide - mean_C.view(shape)) * scale_C.view(shape) + self.bias.double().view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean_C: Tensor, variance_C: Tensor, count: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        rate = self.momentum or 0.0
        unbiased_C = variance_C * count / (count - 1).clamp_min(1)
        self.running_mean.lerp_(mean_C.to(self.running_mean.dtype), rate)
        self.running_var.lerp_(unbiased_C.to(self.running_var.dtype), rate)


def share_batch_norm(module: nn.Module) -> None:
    """Give every batch normalisation in a module the statistics of all processes; parameters keep their names."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm1d:
            shared = CrossRankBatchNorm(child.num_features, child.eps, child.momentum)
            shared.to(child.weight.dtype).load_state_dict(child.state_dict())
            setattr(module, name, shared)
        else:
            share_batch_norm(child)
