"""Feature regression: every point's feature is moved onto that of its pixel; no contrast, no negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.losses.log_partition import working_precision, zero_with_graph


def point_pixel_distance(features_3d_MD: Tensor, features_2d_MD: Tensor) -> Tensor:
    """Mean Euclidean distance between the features of M pairs (the loss of ScaLR).

    `(1/M) sum_i || f3_i - f2_i ||_2` over the pairs of the batch. Puy et al., "Three Pillars improving Vision
    Foundation Model Distillation for Lidar", CVPR 2024; unit features as in its public code. The distance has no
    derivative at zero: a pair that agrees exactly gets the subgradient zero.

    Args:
        features_3d_MD: unit features of the points, any floating dtype.
        features_2d_MD: unit features of the pixels, same shape, dtype and device.

    Returns:
        A scalar in [0, 2], float32 (float64 for float64 inputs); exactly 0, with a graph, for no pair.

    >>> points, pixels = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> point_pixel_distance(points, pixels).item()
    1.0
    """
    if len(features_3d_MD) == 0:
        return zero_with_graph(features_3d_MD, features_2d_MD)
    difference_MD = working_precision(features_3d_MD) - working_precision(features_2d_MD)
    distance_M: Tensor = torch.linalg.vector_norm(difference_MD, dim=1)
    return distance_M.mean()
