"""Point-pixel InfoNCE: every point is drawn to its own pixel and away from the other pixels of the sample."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.losses.log_partition import require_temperature, sum_log_partition, working_precision, zero_with_graph


def point_pixel_info_nce(features_3d_MD: Tensor, features_2d_MD: Tensor, temperature: float = 0.07) -> Tensor:
    """Contrast M sampled pairs in one direction, 3D anchors to 2D candidates (the L_pp of the paper, from PPKT).

    `-(1/M) sum_i log( exp(<f3_i, f2_i>/t) / sum_j exp(<f3_i, f2_j>/t) )`. Row i of both inputs is pair i; the pairs
    that share a pixel are negatives of each other, as in the reference. Features have unit norm already.

    Args:
        features_3d_MD: features of the points, any floating dtype.
        features_2d_MD: features of the pixels, same shape, dtype and device.
        temperature: positive; 0.07 in the paper. 0.01 is safe in half precision.

    Returns:
        A scalar in float32 (float64 for float64 inputs); exactly 0, with a graph, for no pair.

    Raises:
        UsageError: the temperature is not positive.

    >>> features = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), dim=1)
    >>> round(point_pixel_info_nce(features, features, temperature=1.0).item(), 4)
    0.3133
    """
    require_temperature(temperature)
    num_pairs = len(features_3d_MD)
    if num_pairs == 0:
        return zero_with_graph(features_3d_MD, features_2d_MD)
    matched_3d_MD, matched_2d_MD = working_precision(features_3d_MD), working_precision(features_2d_MD)
    positive = (matched_3d_MD * matched_2d_MD).sum(dtype=torch.float64) / temperature
    loss = (sum_log_partition(features_3d_MD, features_2d_MD, temperature) - positive) / num_pairs
    return loss.to(matched_3d_MD.dtype)
