"""Temporal consistency: a point of a later frame is drawn to the mean of the segment that it falls into."""

from __future__ import annotations

import torch
from torch import Tensor

from olivine.errors import DataError
from olivine.losses.log_partition import require_temperature, sum_log_partition, working_precision, zero_with_graph


def temporal_info_nce(
    features_next_ND: Tensor, segment_N: Tensor, mean_SD: Tensor, count_S: Tensor, temperature: float = 0.07
) -> Tensor:
    """Contrast points of frame t + n with the segments of frame t (Seal's temporal term, our reading).

    `-(1/N) sum_i log( exp(<z_i, m_s(i)>/t) / sum_s exp(<z_i, m_s>/t) )`: m_s the mean feature of segment s in frame t,
    s(i) the segment that point i of frame t + n falls into once both frames are in one coordinate system. Liu et al.,
    "Segment Any Point Cloud Sequences by Distilling Vision Foundation Models", NeurIPS 2023, name a temporal term and a
    point-to-segment term; no public code settles them, and this one formula is our reading of both.

    Args:
        features_next_ND: unit features of the points of frame t + n, any floating dtype.
        segment_N: integer segment of each; negative = in none.
        mean_SD: mean features of the segments in frame t, same dtype and device, not of unit norm (`pool_segments`).
        count_S: points of each segment in frame t (`pool_segments`). A segment without is no candidate, and points that
            fall into it do not count.
        temperature: positive; 0.07 as in the other losses. 0.01 is safe in half precision.

    Returns:
        A scalar in float32 (float64 for float64 inputs); exactly 0, with a graph, when no point counts.

    Raises:
        UsageError: the temperature is not positive.
        DataError: a segment is not below the number of means.

    >>> next_frame, means = torch.eye(2), torch.eye(2)
    >>> segments, counts = torch.tensor([0, -1]), torch.tensor([9, 4])
    >>> round(temporal_info_nce(next_frame, segments, means, counts, temperature=1.0).item(), 4)
    0.3133
    """
    require_temperature(temperature)
    if len(segment_N) and int(segment_N.max()) >= len(mean_SD):
        raise DataError(
            f"segment {int(segment_N.max())} among {len(mean_SD)} means: both frames must share one numbering"
        )
    inside_N = segment_N >= 0
    counted_N = inside_N.clone()
    counted_N[inside_N] = count_S[segment_N[inside_N]] > 0
    if not counted_N.any():
        return zero_with_graph(features_next_ND, mean_SD)
    anchors_ND, positives_ND = (
        working_precision(features_next_ND[counted_N]),
        working_precision(mean_SD[segment_N[counted_N]]),
    )
    positive = (anchors_ND * positives_ND).sum(dtype=torch.float64) / temperature
    loss = (sum_log_partition(anchors_ND, mean_SD[count_S > 0], temperature) - positive) / len(anchors_ND)
    return loss.to(anchors_ND.dtype)
