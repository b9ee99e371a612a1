"""Category-aware contrast: every point is drawn to the pixels that share its weak label."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.losses.log_partition import require_temperature, sum_log_partition, working_precision, zero_with_graph


def category_aware_contrastive(
    features_3d_MD: Tensor, features_2d_MD: Tensor, categories_M: Tensor, temperature: float = 0.07
) -> Tensor:
    """Contrast M sampled pairs with the pairs of the same category as positives (the L_sup of the paper).

    `-(1/M) sum_i [ logsumexp_{j in A(i)} s_ij - logsumexp_j s_ij ]`, `s_ij = <g3_i, g2_j>/t`, A(i) the pairs of i's
    category, i among them. This is the reference code's form; the paper divides by |A(i)| inside the logarithm, which
    adds the constant `mean_i log |A(i)|` and changes no gradient.

    The pairs are sorted by category, so that A(i) is a block of columns: the numerator costs one small log-sum-exp a
    category, and no mask of M x M is built. Reads the categories' counts on the host (one synchronisation).

    Args:
        features_3d_MD: unit features of the points, any floating dtype.
        features_2d_MD: unit features of the pixels, same shape, dtype and device.
        categories_M: integer category of each pair. Negative = ignored: neither anchor nor candidate.
        temperature: positive; 0.07 in the paper. 0.01 is safe in half precision.

    Returns:
        A scalar in float32 (float64 for float64 inputs); exactly 0, with a graph, when no pair has a category and when
        all have the same.

    Raises:
        UsageError: the temperature is not positive.

    >>> features = torch.eye(3)
    >>> category_aware_contrastive(features, features, torch.tensor([4, 4, 4])).item()
    0.0
    >>> round(category_aware_contrastive(features, features, torch.tensor([0, 1, -1]), temperature=1.0).item(), 4)
    0.3133
    """
    require_temperature(temperature)
    sorted_M, order_M = torch.sort(categories_M, stable=True)
    order_M = order_M[sorted_M >= 0]
    if len(order_M) == 0:
        return zero_with_graph(features_3d_MD, features_2d_MD)
    anchors_MD = working_precision(features_3d_MD[order_M])
    candidates_MD = working_precision(features_2d_MD[order_M])
    sizes = torch.unique_consecutive(categories_M[order_M], return_counts=True)[1].tolist()
    blocks = zip(torch.split(anchors_MD, sizes), torch.split(candidates_MD, sizes), strict=True)
    within = torch.stack([sum_log_partition(anchors, candidates, temperature) for anchors, candidates in blocks]).sum()
    loss = (sum_log_partition(anchors_MD, candidates_MD, temperature) - within) / len(order_M)
    return loss.to(anchors_MD.dtype)
