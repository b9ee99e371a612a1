"""Density of pairs over the distance from the sensor: a Gaussian kernel estimate over integer radial bins.

The paper's sampler divides by it, so that the far points, which are few, are drawn as often as the near ones. The
reference evaluates a kernel between every distinct radius and every pair. Radii are integers, so the same sum runs over
a histogram: the kernel depends on the difference of two bins alone, and the estimate is one convolution.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError

MAX_BINS = 65_536
# exp(-37^2 / 2) is 1e-297: what lies beyond does not change a float64, and subnormal numbers are slow.
KERNEL_REACH_BANDWIDTHS = 37.0


def silverman_bandwidth(values_M: NDArray[Any], counts_M: NDArray[Any] | None = None) -> float:
    """Silverman's rule, h = 1.06 s M^(-1/5) with the unbiased standard deviation s, in the unit of the values.

    Args:
        values_M: numbers of any real dtype.
        counts_M: how often each value occurs; once each when left out.

    Returns:
        The bandwidth; 0.0 when it is undefined or degenerate: fewer than two values, or all the same.

    >>> round(silverman_bandwidth(np.array([1, 2, 3, 4])), 4)
    1.0371
    """
    values_M = np.asarray(values_M, dtype=np.float64)
    counts_M = np.ones(len(values_M)) if counts_M is None else np.asarray(counts_M, dtype=np.float64)
    num_values = float(counts_M.sum())
    if num_values < 2:
        return 0.0
    # Relative to one of them, equal values have a deviation of exactly zero.
    offsets_M = values_M - values_M[0]
    mean = counts_M @ offsets_M / num_values
    variance = float(counts_M @ (offsets_M - mean) ** 2 / (num_values - 1))
    return float(1.06 * math.sqrt(variance) * num_values ** (-0.2))


def density_table(counts_R: NDArray[Any]) -> NDArray[np.float64]:
    """Density at every radial bin, from the number of pairs in each.

    `f(r) = 1/(M h) sum_i phi((r - r_i)/h)`, phi the standard normal density, h by Silverman's rule (kernel and
    bandwidth of the reference code; the paper gives none). Histograms add up: the sum of those of several keyframes
    gives the density of their pool, as in a batch.

    Args:
        counts_R: number of pairs in bins 0 to R-1; not negative.

    Returns:
        float64 [R], per bin, positive wherever a count is. When all pairs share one bin, h is one bin. Zeros when there
        is no pair.

    Raises:
        DataError: a count is negative, or there are more than 65 536 bins.

    >>> density_table(np.array([0, 4, 0])).round(4).tolist()
    [0.242, 0.3989, 0.242]
    """
    counts_R = np.asarray(counts_R, dtype=np.float64)
    if len(counts_R) > MAX_BINS:
        raise DataError(f"{len(counts_R)} radial bins; more than {MAX_BINS} is no LiDAR range: check the voxel size")
    if (counts_R < 0).any():
        raise DataError(f"histogram of radii: bin {int(counts_R.argmin())} has a negative count")
    num_pairs = float(counts_R.sum())
    if num_pairs == 0:
        return np.zeros(len(counts_R))
    bandwidth = silverman_bandwidth(np.arange(len(counts_R)), counts_R) or 1.0
    reach = min(len(counts_R) - 1, math.ceil(KERNEL_REACH_BANDWIDTHS * bandwidth))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / bandwidth) ** 2)
    smoothed_R = np.convolve(np.pad(counts_R, reach), kernel, mode="valid")
    density_R: NDArray[np.float64] = smoothed_R / (num_pairs * bandwidth * math.sqrt(2 * math.pi))
    return density_R


def estimate_density(radial_index_M: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Density of the pairs' own radii at each of them; equal to the dense double sum up to rounding.

    Args:
        radial_index_M: integer radial bin of each pair (horizontal distance from the sensor over the bin's width).

    Returns:
        float64 [M], per bin, positive. Empty for no pair; for one pair or one radius see `density_table`.

    Raises:
        DataError: the radii are not integers, one is negative, or they span more than 65 536 bins.

    >>> estimate_density(np.array([3, 3, 3])).round(4).tolist()
    [0.3989, 0.3989, 0.3989]
    """
    radial_index_M = np.asarray(radial_index_M)
    if len(radial_index_M) == 0:
        return np.zeros(0)
    if not np.issubdtype(radial_index_M.dtype, np.integer):
        raise DataError(f"radial indices are {radial_index_M.dtype}; divide by the bin's width and round down first")
    first, last = int(radial_index_M.min()), int(radial_index_M.max())
    if first < 0 or last - first >= MAX_BINS:
        raise DataError(f"radial indices run from {first} to {last}; expected 0 <= index < {MAX_BINS}")
    bin_M = radial_index_M - first
    density_M: NDArray[np.float64] = density_table(np.bincount(bin_M))[bin_M]
    return density_M
