"""Semantically tolerant contrast: segments that are alike to the frozen image encoder do not repel each other."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from olivine.errors import UsageError
from olivine.losses.log_partition import (
    require_temperature,
    rows_per_chunk,
    sum_log_partition,
    working_precision,
    zero_with_graph,
)

DroppedForm = Literal["zero_logit", "left_out"]
DROPPED_LOGITS: dict[DroppedForm, float] = {"zero_logit": 0.0, "left_out": -math.inf}


def tolerant_info_nce(
    mean_3d_SD: Tensor,
    mean_2d_SD: Tensor,
    encoder_mean_SE: Tensor,
    temperature: float = 0.07,
    *,
    dropped_share: float = 0.01,
    similar_from: float = 0.5,
    dropped_form: DroppedForm = "zero_logit",
) -> Tensor:
    """Contrast S segments as `superpixel_info_nce`, tolerating what is alike and balancing classes (ST-SLidR).

    `sum_s w_s l_s / sum_s w_s`, `l_s = -log( exp(<k_s, q_s>/t) / sum_r exp(<k_s, q_r>/t) )`, r over s itself and the
    negatives that s does not drop. Mahmoud et al., "Self-Supervised Image-to-Point Distillation via Semantically
    Tolerant Contrastive Loss", CVPR 2023, with the constants of its public code. The similarity of two segments is the
    cosine of their encoder features; that the reference clips it to [0, 1] makes no difference to what follows.

    - Dropped by s: its most similar negatives, `ceil(dropped_share (S - 1)) - 1` of them. The reference takes what
      lies beyond a quantile of s's similarities, among which is that of s to itself: hence the last one, and hence
      none in a batch of at most 101 segments.
    - Weight of s: its similarities of at least `similar_from` are summed, these sums scaled to [0, 1] over the batch,
      and w_s is one minus that. All weights are 1 when all sums are equal (0/0 in the reference).

    The rows are taken in chunks: no matrix of S x S is built.

    Args:
        mean_3d_SD: mean features of each segment's points, any floating dtype, not of unit norm (`pool_segments`).
        mean_2d_SD: mean features of its pixels, same shape, dtype and device.
        encoder_mean_SE: mean of the frozen encoder's features over the same pixels, any width and floating dtype; gets
            no gradient. A segment whose mean is zero is neither anchor nor candidate.
        temperature: positive; 0.07 in the paper. 0.01 is safe in half precision.
        dropped_share: 0.01 in the reference; 0 for none.
        similar_from: positive, 0.5 in the reference; what is below counts as noise. Above 1 all weights are 1.
        dropped_form: "zero_logit" as in the reference code, which multiplies the logit of a dropped negative by zero,
            so that it still adds exp(0) = 1 to the sum; "left_out" takes it out of the sum.

    Returns:
        A scalar in float32 (float64 for float64 inputs); exactly 0, with a graph, for no segment.

    Raises:
        UsageError: the temperature or `similar_from` is not positive, the share not in [0, 1) or the form unknown.

    >>> means = torch.eye(2)
    >>> round(tolerant_info_nce(means, means, torch.eye(2), temperature=1.0).item(), 4)
    0.3133
    """
    require_temperature(temperature)
    if not 0 <= dropped_share < 1:
        raise UsageError(f"dropped_share is {dropped_share}; give a share of the negatives in [0, 1), e.g. 0.01")
    if not similar_from > 0:
        raise UsageError(f"similar_from is {similar_from}; give a positive cosine, e.g. 0.5")
    if dropped_form not in DROPPED_LOGITS:
        raise UsageError(f"dropped_form is {dropped_form!r}; choose 'zero_logit' or 'left_out'")
    known_S = encoder_mean_SE.any(dim=1)
    if not known_S.any():
        return zero_with_graph(mean_3d_SD, mean_2d_SD)
    anchors_SD, candidates_SD = working_precision(mean_3d_SD[known_S]), working_precision(mean_2d_SD[known_S])
    with torch.autocast(anchors_SD.device.type, enabled=False):
        nearest_SK, votes_S = _compare(encoder_mean_SE[known_S].detach(), dropped_share, similar_from)
    weights_S = _anchor_weights(votes_S).to(anchors_SD.dtype)
    positive = (anchors_SD * candidates_SD * weights_S[:, None]).sum(dtype=torch.float64) / temperature
    partition = sum_log_partition(
        anchors_SD,
        candidates_SD,
        temperature,
        weights_A=weights_S,
        dropped_AK=nearest_SK,
        dropped_logit=DROPPED_LOGITS[dropped_form],
    )
    loss = (partition - positive) / weights_S.sum(dtype=torch.float64)
    return loss.to(anchors_SD.dtype)


def _compare(encoder_SE: Tensor, dropped_share: float, similar_from: float) -> tuple[Tensor, Tensor]:
    """Negatives that each segment drops [S, K], and the sum of its similarities to others [S], float64."""
    unit_SE = functional.normalize(working_precision(encoder_SE), dim=1)
    num_segments = len(unit_SE)
    num_dropped = max(0, math.ceil(dropped_share * (num_segments - 1)) - 1)
    # Filled, not gathered from pieces: small results kept between large chunks would scatter these over the heap.
    nearest_SK = torch.empty(num_segments, num_dropped, dtype=torch.int64, device=unit_SE.device)
    votes_S = torch.empty(num_segments, dtype=torch.float64, device=unit_SE.device)
    num_rows = rows_per_chunk(num_segments, unit_SE.device)
    for start in range(0, num_segments, num_rows):
        rows = slice(start, start + num_rows)
        similarity_RS = unit_SE[rows] @ unit_SE.T
        # To itself: never among the nearest. As a vote it is the same for all, and the scaling takes it out.
        similarity_RS.diagonal(start).fill_(-math.inf)
        nearest_SK[rows] = similarity_RS.topk(num_dropped, dim=1).indices
        votes_S[rows] = torch.where(similarity_RS >= similar_from, similarity_RS, 0).sum(dim=1, dtype=torch.float64)
    return nearest_SK, votes_S


def _anchor_weights(votes_S: Tensor) -> Tensor:
    """One minus the votes scaled to [0, 1]; the segment with the fewest always counts fully."""
    spread_S = votes_S - votes_S.min()
    return 1 - spread_S / spread_S.max().clamp(min=torch.finfo(spread_S.dtype).tiny)
