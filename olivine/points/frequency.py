"""Category frequency of pairs, and the sampling weights made from it and from the density."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError, UsageError

Variant = Literal["uniform", "density", "category", "both"]


def category_frequency(
    categories_M: NDArray[np.integer[Any]], num_categories: int, ignore: int | None = None
) -> NDArray[np.int64]:
    """Count the pairs of each category. Frequencies of keyframes add up to that of their pool.

    Args:
        categories_M: integer category of each pair; negative = ignored.
        num_categories: K.
        ignore: a further id that is not counted, inside or outside 0 to K-1 (e.g. 255); its count is 0.

    Returns:
        int64 [K].

    Raises:
        DataError: a category that is not ignored is K or more.

    >>> category_frequency(np.array([0, 2, 2, 255, -1]), num_categories=3, ignore=255).tolist()
    [1, 0, 2]
    """
    categories_M = np.asarray(categories_M)
    counted = categories_M >= 0
    if ignore is not None:
        counted &= categories_M != ignore
    categories_M = categories_M[counted].astype(np.int64)
    if len(categories_M) and categories_M.max() >= num_categories:
        raise DataError(
            f"category {categories_M.max()} among {num_categories} categories: "
            "the number must be the length of the weak labels' category list"
        )
    return np.bincount(categories_M, minlength=num_categories).astype(np.int64, copy=False)


def look_up_frequency(categories_M: NDArray[np.integer[Any]], frequency_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frequency of each pair's category: int64 [M]; 0, which means ignored, for an id outside 0 to K-1.

    >>> look_up_frequency(np.array([2, 0, 255, -1]), np.array([1, 0, 2])).tolist()
    [2, 1, 0, 0]
    """
    categories_M = np.asarray(categories_M).astype(np.int64)
    known_M = (categories_M >= 0) & (categories_M < len(frequency_K))
    counts_M = np.zeros(len(categories_M), np.int64)
    counts_M[known_M] = frequency_K[categories_M[known_M]]
    return counts_M


def sampling_weights(
    density_M: NDArray[np.floating[Any]], category_count_M: NDArray[np.integer[Any]], variant: Variant
) -> NDArray[np.float64]:
    """Probability with which each pair is drawn for the category-aware loss (the paper's sampler).

    `p_i` is proportional to 1 / (f_i n_i), f the density at the pair's radius and n the number of pairs of its
    category; the variants leave out one factor or both (the paper's ablation).

    Args:
        density_M: f, positive and finite.
        category_count_M: n, from `look_up_frequency`; 0 marks an ignored pair, whose weight is 0 in every variant.
        variant: "both" in the paper; "density" = 1/f, "category" = 1/n, "uniform" = 1.

    Returns:
        float64 [M], sum 1, positive and finite for every pair that is not ignored. All zeros if all are ignored.

    Raises:
        UsageError: an unknown variant.
        DataError: lengths differ, a count is negative, or the density of a pair that is not ignored is not positive
            and finite.

    >>> sampling_weights(np.array([0.1, 0.1, 0.4]), np.array([2, 2, 1]), "both").round(4).tolist()
    [0.4, 0.4, 0.2]
    """
    if variant not in get_args(Variant):
        raise UsageError(f"variant {variant!r}; choose one of {', '.join(get_args(Variant))}")
    density_M, category_count_M = np.asarray(density_M, np.float64), np.asarray(category_count_M)
    if len(density_M) != len(category_count_M):
        raise DataError(f"{len(density_M)} densities for {len(category_count_M)} categories; both are one per pair")
    if (category_count_M < 0).any():
        raise DataError(f"category count of pair {int(category_count_M.argmin())} is negative; 0 marks an ignored pair")
    kept_M = category_count_M > 0
    bad_M = kept_M & ~(np.isfinite(density_M) & (density_M > 0))
    if bad_M.any():
        first = int(bad_M.argmax())
        raise DataError(
            f"density of pair {first} is {density_M[first]}; it must be positive: estimate it from these pairs"
        )
    weights_M = np.zeros(len(density_M))
    if not kept_M.any():
        return weights_M
    weights_M[kept_M] = 1.0
    # Both factors are taken relative to their smallest, so that no quotient overflows.
    if variant in ("density", "both"):
        weights_M[kept_M] *= density_M[kept_M].min() / density_M[kept_M]
    if variant in ("category", "both"):
        weights_M[kept_M] *= category_count_M[kept_M].min() / category_count_M[kept_M]
    weights_M /= weights_M.sum()
    return weights_M
