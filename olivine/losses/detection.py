"""The losses of an anchor head: focal loss of the class, smooth L1 of the box, cross-entropy of the direction.

SECOND (Yan, Mao and Li, Sensors 2018), section 3.2, with the normalisation of OpenPCDet: each frame's sums over its
anchors are divided by the number of anchors that are to find an object, and averaged over the frames. Shapes: B frames,
A anchors, K classes, P anchors that are to find an object.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

_BETA = 1 / 9
_ALPHA, _GAMMA = 0.25, 2.0


@dataclass(frozen=True)
class HeadLosses:
    """Scalars, not yet weighted."""

    kind: Tensor
    box: Tensor
    direction: Tensor


def head_losses(
    logits_BAK: Tensor,
    offsets_BA7: Tensor,
    directions_BA2: Tensor,
    kind_BA: Tensor,
    target_BA7: Tensor,
    direction_BA: Tensor,
) -> HeadLosses:
    """Losses of what a head says of its anchors.

    Args:
        logits_BAK, offsets_BA7, directions_BA2: the head's output.
        kind_BA: int64, the class an anchor is to find, -1 for none, below -1 for an anchor that does not count.
        target_BA7, direction_BA: the right offsets and the right one of two directions, where there is a class.

    Returns:
        Losses with a graph, 0 where no anchor is to find anything.

    >>> logits_BAK, offsets_BA7, directions_BA2 = torch.zeros(1, 2, 3), torch.zeros(1, 2, 7), torch.zeros(1, 2, 2)
    >>> kind_BA, direction_BA = torch.tensor([[1, -1]]), torch.tensor([[0, 0]])
    >>> losses = head_losses(logits_BAK, offsets_BA7, directions_BA2, kind_BA, offsets_BA7, direction_BA)
    >>> losses.box.item(), round(losses.direction.item(), 4)  # the box is right, of two directions none is preferred
    (0.0, 0.6931)
    """
    finds_BA = kind_BA >= 0
    share_B1 = 1 / finds_BA.sum(dim=1, keepdim=True).clamp(min=1) / len(kind_BA)
    wanted_BAK = torch.zeros_like(logits_BAK)
    wanted_BAK[finds_BA, kind_BA[finds_BA]] = 1
    focal_BAK = sigmoid_focal_loss(logits_BAK, wanted_BAK, alpha=_ALPHA, gamma=_GAMMA, reduction="none")
    counts_BA = (kind_BA >= -1) * share_B1
    share_P = share_B1.expand_as(finds_BA)[finds_BA]
    box_P = box_distance(offsets_BA7[finds_BA], target_BA7[finds_BA])
    direction_P = functional.cross_entropy(directions_BA2[finds_BA], direction_BA[finds_BA], reduction="none")
    return HeadLosses(
        kind=(focal_BAK.sum(dim=2) * counts_BA).sum(),
        box=(box_P * share_P).sum(),
        direction=(direction_P * share_P).sum(),
    )


def box_distance(offsets_P7: Tensor, target_P7: Tensor) -> Tensor:
    """Smooth L1 [P] summed over the offsets, with the sine of the difference of angles (SECOND, section 3.2)."""
    # sin(a - b) = sin a cos b - cos a sin b: as a difference of two numbers.
    angle_P, wanted_P = offsets_P7[:, 6:], target_P7[:, 6:]
    first_P7 = torch.cat([offsets_P7[:, :6], torch.sin(angle_P) * torch.cos(wanted_P)], dim=1)
    second_P7 = torch.cat([target_P7[:, :6], torch.cos(angle_P) * torch.sin(wanted_P)], dim=1)
    return functional.smooth_l1_loss(first_P7, second_P7, beta=_BETA, reduction="none").sum(dim=1)
