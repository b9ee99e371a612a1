"""Momentum contrast of whole clouds: a scene is drawn to itself in another view and away from scenes seen before."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from olivine.errors import DataError, UsageError
from olivine.losses.log_partition import require_temperature, working_precision, zero_with_graph
from olivine.losses.ranks import num_ranks


def queue_info_nce(query_BD: Tensor, key_BD: Tensor, queue_QD: Tensor, temperature: float = 0.1) -> Tensor:
    """Contrast B scenes with their own keys and a queue of other scenes' keys (DepthContrast, our reading).

    `-(1/B) sum_i log( exp(<q_i, k_i>/t) / (exp(<q_i, k_i>/t) + sum_j exp(<q_i, n_j>/t)) )`. Zhang et al.,
    "Self-Supervised Pretraining of 3D Features on any Point-Cloud", ICCV 2021; the paper contrasts within one input
    format and across two, its code does the first alone for LiDAR, and so does this.

    Args:
        query_BD: unit embeddings of the scenes, any floating dtype.
        key_BD: unit embeddings of the same scenes' other view by the momentum encoder, same shape, dtype and device.
        queue_QD: keys of scenes of earlier batches, on the same device; may be empty, and the loss is then zero.
        temperature: positive; 0.1 in the public code. 0.01 is safe in half precision.

    Returns:
        A scalar in float32 (float64 for float64 inputs); exactly 0, with a graph, for no scene.

    Raises:
        UsageError: the temperature is not positive.

    >>> scene = torch.tensor([[1.0, 0.0]])
    >>> round(queue_info_nce(scene, scene, torch.tensor([[0.0, 1.0]]), temperature=1.0).item(), 4)
    0.3133
    """
    require_temperature(temperature)
    if len(query_BD) == 0:
        return zero_with_graph(query_BD, key_BD)
    query_BD, key_BD = working_precision(query_BD), working_precision(key_BD)
    with torch.autocast(query_BD.device.type, enabled=False):
        positive_B = (query_BD * key_BD).sum(dim=1) / temperature
        negative_BQ = query_BD @ queue_QD.to(query_BD.dtype).T / temperature
        losses_B = torch.cat([positive_B[:, None], negative_BQ], dim=1).logsumexp(dim=1) - positive_B
    return losses_B.mean()


class KeyQueue(nn.Module):
    """The newest keys of all ranks, first in, first out. Every rank holds the same queue; its state is checkpointed.

    Attributes:
        keys_QD: float32; rows from `num_filled` on have never been written.
        position: row that the next key is written to.
        num_filled: rows that hold a key.
    """

    keys_QD: Tensor
    position: Tensor
    num_filled: Tensor

    def __init__(self, size: int, dim: int) -> None:
        """Start empty. The reference starts with random keys, which count as scenes until they are overwritten.

        Args:
            size: Q, the keys to hold; 65 536 in the public code.
            dim: D, the width of the embeddings; 128 in the public code.

        Raises:
            UsageError: a size is not positive.
        """
        super().__init__()
        if size < 1 or dim < 1:
            raise UsageError(f"a queue of {size} keys of width {dim}: both must be at least 1")
        self.register_buffer("keys_QD", torch.zeros(size, dim))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.register_buffer("num_filled", torch.zeros((), dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """The keys held, [num_filled, D], in no promised order. A copy: `enqueue` may come before the backward pass."""
        return self.keys_QD[: int(self.num_filled)].clone()

    @torch.no_grad()
    def enqueue(self, key_BD: Tensor) -> None:
        """Write this batch's keys over the oldest.

        Where torch.distributed is initialised this is a collective: every rank calls it, with no keys if it has none,
        and all ranks write the keys of all, in the order of the ranks. Keys that are not finite (a step that mixed
        precision will skip) are left out.

        Args:
            key_BD: unit embeddings, any floating dtype.

        Raises:
            DataError: the keys have another width than the queue.
        """
        if key_BD.shape[1:] != self.keys_QD.shape[1:]:
            raise DataError(f"keys of shape {list(key_BD.shape)} for a queue of width {self.keys_QD.shape[1]}")
        key_BD = _gather(key_BD.detach().to(self.keys_QD.dtype))
        # No more than there are rows: what is written twice has no definite order on a GPU.
        key_BD = key_BD[key_BD.isfinite().all(dim=1)][-len(self.keys_QD) :]
        rows_B = (self.position + torch.arange(len(key_BD), device=key_BD.device)) % len(self.keys_QD)
        self.keys_QD[rows_B] = key_BD
        self.position.copy_((self.position + len(key_BD)) % len(self.keys_QD))
        self.num_filled.copy_((self.num_filled + len(key_BD)).clamp(max=len(self.keys_QD)))


def _gather(key_BD: Tensor) -> Tensor:
    """Keys of all ranks; their numbers may differ, so they travel in the size of the largest share."""
    world_size = num_ranks()
    if world_size == 1:
        return key_BD
    num_keys = torch.tensor([len(key_BD)], device=key_BD.device)
    counts = [torch.empty_like(num_keys) for _ in range(world_size)]
    distributed.all_gather(counts, num_keys)
    largest = max(int(count) for count in counts)
    padded_PD = nn.functional.pad(key_BD, (0, 0, 0, largest - len(key_BD))).contiguous()
    shares = [torch.empty_like(padded_PD) for _ in range(world_size)]
    distributed.all_gather(shares, padded_PD)
    return torch.cat([share[: int(count)] for share, count in zip(shares, counts, strict=True)])
