"""Lovasz-softmax: the convex surrogate of the mean intersection over union."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.losses.log_partition import working_precision, zero_with_graph


def lovasz_softmax(logits_NC: Tensor, targets_N: Tensor, ignore: int = 0) -> Tensor:
    """Mean over the classes present of the Lovasz extension of their Jaccard loss.

    Berman, Triki, Blaschko, "The Lovasz-Softmax loss", CVPR 2018, equations 8, 9 and 12, all classes at once. The
    ignored points are taken out; the logit of the ignored class stays in the softmax.

    Args:
        logits_NC: unnormalised scores, any floating dtype; the softmax is taken in float32.
        targets_N: integer class of each point.
        ignore: the class whose points do not count.

    Returns:
        A scalar in [0, 1], float32 (float64 for float64 logits); exactly 0, with a graph, when no point counts.

    >>> logits = torch.tensor([[0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    >>> lovasz_softmax(logits, torch.tensor([1, 2])).item() < 0.001
    True
    >>> lovasz_softmax(logits, torch.tensor([2, 1])).item() > 0.999
    True
    """
    counted_N = targets_N != ignore
    logits_NC, targets_N = logits_NC[counted_N], targets_N[counted_N]
    if len(targets_N) == 0:
        return zero_with_graph(logits_NC)
    present_K = torch.unique(targets_N)
    probabilities_NK = working_precision(logits_NC).softmax(dim=1)[:, present_K]
    foreground_NK = targets_N[:, None] == present_K
    errors_NK = (foreground_NK.to(probabilities_NK.dtype) - probabilities_NK).abs()
    sorted_NK, order_NK = errors_NK.sort(dim=0, descending=True)
    slopes_NK = _jaccard_slopes(foreground_NK.gather(0, order_NK))
    losses_K: Tensor = (sorted_NK * slopes_NK.to(sorted_NK.dtype)).sum(dim=0)
    return losses_K.mean()


def _jaccard_slopes(foreground_NK: Tensor) -> Tensor:
    """Growth of the Jaccard loss with each further error, float64: neighbours differ in the last bits of a float32."""
    size_K = foreground_NK.sum(dim=0)
    intersection_NK = size_K - foreground_NK.cumsum(dim=0)
    union_NK = size_K + (~foreground_NK).cumsum(dim=0)
    jaccard_NK = 1 - intersection_NK.double() / union_NK
    return torch.diff(jaccard_NK, dim=0, prepend=torch.zeros_like(jaccard_NK[:1]))
