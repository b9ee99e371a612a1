"""Superpixel contrast: the mean point of a segment is drawn to the mean pixel of the same segment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from olivine.errors import DataError
from olivine.losses.log_partition import working_precision
from olivine.losses.point_pixel import point_pixel_info_nce


def pool_segments(features_ND: Tensor, segment_N: Tensor, num_segments: int) -> tuple[Tensor, Tensor]:
    """Mean feature of each segment's members, and how many they are.

    The members are sorted by segment and summed in that order, so that the result is the same to the last bit in every
    run, on every device and with any number of threads. Reads the greatest index on the host (one synchronisation).

    Args:
        features_ND: features of points or pixels, any floating dtype.
        segment_N: integer segment of each; negative = in none.
        num_segments: S. The images of a batch have segments of their own: offset them.

    Returns:
        The means [S, D] in float32 (float64 for float64 features), **not** of unit norm though the features are, zero
        for a segment without members; and the counts [S], int64, by which such segments are told from others.

    Raises:
        DataError: a segment is not below `num_segments`.

    >>> means, counts = pool_segments(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([2, 2, -1]), num_segments=3)
    >>> means.tolist(), counts.tolist()
    ([[0.0], [0.0], [2.0]], [0, 0, 2])
    """
    if len(segment_N) and int(segment_N.max()) >= num_segments:
        raise DataError(
            f"segment {int(segment_N.max())} among {num_segments} segments: "
            "num_segments must cover every image of the batch, and what is in no segment be negative"
        )
    sorted_N, order_N = torch.sort(segment_N, stable=True)
    order_N = order_N[sorted_N >= 0]
    count_S = torch.bincount(segment_N[order_N], minlength=num_segments)
    members_ND = working_precision(features_ND[order_N])
    sum_SD = torch.segment_reduce(members_ND, "sum", lengths=count_S, axis=0, initial=0.0)
    return sum_SD / count_S.clamp(min=1)[:, None], count_S


def superpixel_info_nce(
    mean_3d_SD: Tensor, mean_2d_SD: Tensor, temperature: float = 0.07, *, normalize: bool = False
) -> Tensor:
    """Contrast S segments in one direction, 3D anchors to 2D candidates (SLidR; Seal's spatial term alike).

    `-(1/S) sum_s log( exp(<k_s, q_s>/t) / sum_r exp(<k_s, q_r>/t) )`, k the mean of a segment's points, q of its pixels
    (Sautier et al., "Image-to-Lidar Self-Supervised Distillation", CVPR 2022). Row s of both inputs is one segment of
    the batch. The caller keeps those that have a point and a pixel, by the counts of `pool_segments`; the reference
    code goes by a first component other than zero.

    Args:
        mean_3d_SD: mean features of the points, any floating dtype.
        mean_2d_SD: mean features of the pixels, same shape, dtype and device.
        temperature: positive; 0.07 in the paper. 0.01 is safe in half precision.
        normalize: give the means unit norm first. The reference does not: the more a segment's features differ, the
            shorter is their mean and the softer its contrast.

    Returns:
        A scalar in float32 (float64 for float64 inputs); exactly 0, with a graph, for no segment.

    Raises:
        UsageError: the temperature is not positive.

    >>> short = torch.tensor([[0.5, 0.0], [0.0, 0.5]])
    >>> round(superpixel_info_nce(short, short, temperature=1.0).item(), 4)
    0.5759
    >>> round(superpixel_info_nce(short, short, temperature=1.0, normalize=True).item(), 4)
    0.3133
    """
    if normalize:
        mean_3d_SD = functional.normalize(working_precision(mean_3d_SD), dim=1)
        mean_2d_SD = functional.normalize(working_precision(mean_2d_SD), dim=1)
    return point_pixel_info_nce(mean_3d_SD, mean_2d_SD, temperature)
