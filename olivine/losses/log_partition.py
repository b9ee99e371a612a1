"""The one expensive term of every contrastive loss here, without a matrix of all pairs.

The contrastive losses are differences of `sum_i logsumexp_j <a_i, b_j> / temperature` over different sets of
candidates. This file evaluates that sum in chunks of rows. Its gradient is linear in the softmax of the row, which the
forward pass has in hand, so it is accumulated there: nothing of the size anchors x candidates outlives a chunk, and the
backward pass is two scalings.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from olivine.errors import UsageError

CHUNK_ELEMENTS = {"cpu": 2**18, "cuda": 2**21}
"""Logits held at once: 1 MiB of float32, which stays in the cache of a processor, and 8 MiB, which fills a GPU."""


def require_temperature(temperature: float) -> None:
    """Raise UsageError unless `temperature` is positive."""
    if not temperature > 0:
        raise UsageError(f"temperature is {temperature}; logits are divided by it: give a positive number, e.g. 0.07")


def zero_with_graph(*features: Tensor) -> Tensor:
    """Return an exact zero that depends on `features`.

    A rank with nothing to compare must still take part in the backward pass, or the gradients' all-reduce of its peers
    waits for ever. Empty slices are summed because zero times a non-finite feature would not be zero.

    >>> zero_with_graph(torch.full((2, 3), float("nan"), requires_grad=True)).item()
    0.0
    """
    return torch.stack([working_precision(feature)[:0].sum() for feature in features]).sum()


def working_precision(features: Tensor) -> Tensor:
    """Widen half precision to float32; float32 and float64 are kept."""
    return features if features.dtype == torch.float64 else features.float()


def sum_log_partition(
    anchors_AD: Tensor,
    candidates_BD: Tensor,
    temperature: float,
    *,
    weights_A: Tensor | None = None,
    dropped_AK: Tensor | None = None,
    dropped_logit: float = -math.inf,
) -> Tensor:
    """Sum over anchors of the log-sum-exp of their scaled similarities to all candidates (B > 0).

    With `weights_A` [A], of the anchors' dtype, every anchor's term is multiplied by its weight. With `dropped_AK`,
    indices of K candidates for each anchor, the logits of these are replaced by the constant `dropped_logit`; minus
    infinity leaves them out. Neither gets a gradient.

    Safe for logits of any size: the row's maximum is taken out before the exponential, and half precision is widened to
    float32 first, also under autocast. Needs memory for one chunk of logits and one gradient of each input.

    Returns a float64 scalar: the callers subtract two such sums, which may be equal to many digits.

    >>> sum_log_partition(torch.eye(2), torch.eye(2), temperature=0.0078125).item()
    256.0
    """
    with torch.autocast(anchors_AD.device.type, enabled=False):
        anchors_AD, candidates_BD = working_precision(anchors_AD), working_precision(candidates_BD)
        total: Tensor = _SumLogPartition.apply(
            anchors_AD, candidates_BD, temperature, weights_A, dropped_AK, dropped_logit
        )
    return total


def rows_per_chunk(num_columns: int, device: torch.device) -> int:
    """Rows of a matrix of `num_columns` that make one chunk on a device, at least one."""
    elements = CHUNK_ELEMENTS["cpu" if device.type == "cpu" else "cuda"]
    return max(1, elements // max(1, num_columns))


class _SumLogPartition(torch.autograd.Function):
    """Value and gradient in one sweep over the rows."""

    @staticmethod
    def forward(
        ctx: Any,
        anchors_AD: Tensor,
        candidates_BD: Tensor,
        temperature: float,
        weights_A: Tensor | None,
        dropped_AK: Tensor | None,
        dropped_logit: float,
    ) -> Tensor:
        wants_anchors, wants_candidates = ctx.needs_input_grad[:2]
        total = anchors_AD.new_zeros((), dtype=torch.float64)
        grad_anchors_AD = torch.empty_like(anchors_AD) if wants_anchors else None
        grad_candidates_BD = torch.zeros_like(candidates_BD) if wants_candidates else None
        scaled_AD = anchors_AD / temperature
        num_rows = rows_per_chunk(len(candidates_BD), anchors_AD.device)
        for start in range(0, len(anchors_AD), num_rows):
            rows = slice(start, start + num_rows)
            logits_RB = scaled_AD[rows] @ candidates_BD.T
            if dropped_AK is not None:
                logits_RB.scatter_(1, dropped_AK[rows], dropped_logit)
            max_R1 = logits_RB.amax(dim=1, keepdim=True)
            exp_RB = logits_RB.sub_(max_R1).exp_()
            sum_R1 = exp_RB.sum(dim=1, keepdim=True)
            terms_R1 = max_R1 + sum_R1.log()
            if weights_A is not None:
                terms_R1 *= weights_A[rows, None]
                # Divides the gradients below: infinite, and they are zero, for an anchor of weight zero.
                sum_R1 /= weights_A[rows, None]
            total += terms_R1.sum(dtype=torch.float64)
            if dropped_AK is not None:
                exp_RB.scatter_(1, dropped_AK[rows], 0)
            if grad_anchors_AD is not None:
                grad_anchors_AD[rows] = (exp_RB @ candidates_BD) / (sum_R1 * temperature)
            if grad_candidates_BD is not None:
                grad_candidates_BD.addmm_(exp_RB.T, scaled_AD[rows] / sum_R1)
        ctx.save_for_backward(grad_anchors_AD, grad_candidates_BD)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        grad_anchors_AD, grad_candidates_BD = ctx.saved_tensors
        scale = grad_outputs[0]
        return _scaled(grad_anchors_AD, scale), _scaled(grad_candidates_BD, scale), None, None, None, None


def _scaled(grad: Tensor | None, scale: Tensor) -> Tensor | None:
    return None if grad is None else grad * scale.to(grad.dtype)
