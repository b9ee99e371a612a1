"""View contrast: a point is drawn to itself in another augmented view of the same cloud; no images."""

from __future__ import annotations

from torch import Tensor

from olivine.losses.point_pixel import point_pixel_info_nce


def view_info_nce(
    features_a_MD: Tensor, features_b_MD: Tensor, temperature: float = 0.07, *, symmetric: bool = False
) -> Tensor:
    """Contrast M matched points of two views (PointContrast's PointInfoNCE).

    `-(1/M) sum_i log( exp(<a_i, b_i>/t) / sum_j exp(<a_i, b_j>/t) )` over a sample of matched points. Xie et al.,
    "PointContrast", ECCV 2020, equation 2: one direction, the first view's points are the anchors, and its public code
    does the same with 4 096 matches a step.

    Args:
        features_a_MD: unit features of the points in the first view, any floating dtype. Row i of both is one point.
        features_b_MD: unit features of the same points in the second view, same shape, dtype and device.
        temperature: positive; the default of the public code, 0.07; its ScanNet recipe has 0.4. 0.01 is safe in half
            precision.
        symmetric: mean of both directions. Not in the paper.

    Returns:
        A scalar in float32 (float64 for float64 inputs); exactly 0, with a graph, for no point.

    Raises:
        UsageError: the temperature is not positive.

    >>> import torch
    >>> round(view_info_nce(torch.eye(2), torch.eye(2), temperature=1.0).item(), 4)
    0.3133
    """
    loss = point_pixel_info_nce(features_a_MD, features_b_MD, temperature)
    if not symmetric:
        return loss
    return (loss + point_pixel_info_nce(features_b_MD, features_a_MD, temperature)) / 2
