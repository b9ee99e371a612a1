"""The loss of fine-tuning a segmenter: cross-entropy for every point, Lovasz-softmax for the score that is reported."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from olivine.losses.log_partition import working_precision, zero_with_graph
from olivine.losses.lovasz import lovasz_softmax


def segmentation_loss(logits_NC: Tensor, targets_N: Tensor, ignore: int = 0) -> Tensor:
    """Cross-entropy plus Lovasz-softmax, 1:1, over the points that are labelled (the paper's fine-tuning loss).

    Args:
        logits_NC: unnormalised scores, any floating dtype; evaluated in float32.
        targets_N: integer class of each point.
        ignore: the class whose points do not count.

    Returns:
        A scalar in float32 (float64 for float64 logits); exactly 0, with a graph, when no point counts.

    >>> import torch
    >>> round(segmentation_loss(torch.zeros(4, 3), torch.tensor([0, 1, 2, 2])).item(), 4)
    1.7653
    """
    counted_N = targets_N != ignore
    logits_NC, targets_N = working_precision(logits_NC[counted_N]), targets_N[counted_N]
    if len(targets_N) == 0:
        return zero_with_graph(logits_NC)
    return functional.cross_entropy(logits_NC, targets_N) + lovasz_softmax(logits_NC, targets_N, ignore)
