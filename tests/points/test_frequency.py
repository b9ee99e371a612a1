"""Counts of categories, and the properties every set of sampling weights has."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import DataError, UsageError
from olivine.points import frequency
from olivine.points.frequency import category_frequency, look_up_frequency, sampling_weights

VARIANTS = ["uniform", "density", "category", "both"]


@st.composite
def pairs(draw):
    """Densities and counts of up to 60 pairs, some of them ignored."""
    size = draw(st.integers(0, 60))
    densities = draw(st.lists(st.floats(1e-12, 1e3), min_size=size, max_size=size))
    counts = draw(st.lists(st.integers(0, 10**6), min_size=size, max_size=size))
    return np.array(densities, np.float64), np.array(counts, np.int64)


@settings(max_examples=500, deadline=None)
@given(pairs(), st.sampled_from(VARIANTS))
def test_weights_sum_to_one_and_are_positive_where_they_count(pair_columns, variant):
    density_M, count_M = pair_columns
    weights_M = sampling_weights(density_M, count_M, variant)
    assert weights_M.dtype == np.float64
    assert np.isfinite(weights_M).all()
    assert ((weights_M > 0) == (count_M > 0)).all()
    assert weights_M.sum() == pytest.approx(1 if count_M.any() else 0, abs=1e-12)


@settings(max_examples=500, deadline=None)
@given(pairs(), st.sampled_from(VARIANTS), st.randoms(use_true_random=False))
def test_weights_follow_a_permutation_of_the_pairs(pair_columns, variant, random):
    density_M, count_M = pair_columns
    order = np.array(random.sample(range(len(count_M)), len(count_M)), dtype=np.int64)
    expected = sampling_weights(density_M, count_M, variant)[order]
    np.testing.assert_allclose(sampling_weights(density_M[order], count_M[order], variant), expected, rtol=1e-12)


@settings(max_examples=500, deadline=None)
@given(pairs(), st.sampled_from(VARIANTS))
def test_weights_are_in_inverse_proportion_to_their_factors(pair_columns, variant):
    density_M, count_M = pair_columns
    weights_M = sampling_weights(density_M, count_M, variant)
    cost_M = {"uniform": 1.0, "density": density_M, "category": count_M, "both": density_M * count_M}[variant]
    product_M = (weights_M * cost_M)[count_M > 0]
    np.testing.assert_allclose(product_M, product_M[:1].repeat(len(product_M)), rtol=1e-10)


def test_factors_of_extreme_size_do_not_overflow():
    weights_M = sampling_weights(np.array([1e-310, 2e-310]), np.array([1, 1]), "both")
    np.testing.assert_allclose(weights_M, [2 / 3, 1 / 3])


def test_category_frequency_counts_what_is_not_ignored():
    categories_M = np.array([0, 3, 3, 1, -1, 255, 3], np.int16)
    assert category_frequency(categories_M, 5, ignore=255).tolist() == [1, 1, 0, 3, 0]
    assert category_frequency(categories_M[:-2], 5, ignore=3).tolist() == [1, 1, 0, 0, 0]
    assert category_frequency(categories_M[:5], 4).tolist() == [1, 1, 0, 2]
    assert category_frequency(np.zeros(0, np.uint8), 2).tolist() == [0, 0]
    assert category_frequency(categories_M, 5, ignore=255).dtype == np.int64


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_look_up_gives_zero_to_ignored_pairs_of_any_dtype(dtype):
    categories_M = np.array([2, 0, 255], dtype)
    frequency_K = category_frequency(categories_M, 3, ignore=255)
    counts_M = look_up_frequency(categories_M, frequency_K)
    assert counts_M.tolist() == [1, 1, 0]
    assert look_up_frequency(np.array([-1, -3, 3]), frequency_K).tolist() == [0, 0, 0]


def test_expected_draws_are_equal_for_every_category():
    """The point of 1/n: summed over its pairs, a category's weight does not depend on how many they are."""
    categories_M = np.repeat([0, 1, 2], [1, 30, 500])
    count_M = look_up_frequency(categories_M, category_frequency(categories_M, 3))
    weights_M = sampling_weights(np.ones(531), count_M, "category")
    np.testing.assert_allclose(np.bincount(categories_M, weights_M), [1 / 3] * 3)


def test_a_category_beyond_the_list_is_an_error():
    with pytest.raises(DataError, match="category 5 among 5"):
        category_frequency(np.array([5]), 5)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_density_that_is_not_positive_is_an_error_unless_ignored(bad):
    densities = np.array([0.5, bad])
    with pytest.raises(DataError, match="density of pair 1"):
        sampling_weights(densities, np.array([1, 1]), "both")
    assert sampling_weights(densities, np.array([1, 0]), "both").tolist() == [1, 0]


def test_columns_that_do_not_fit_are_an_error():
    with pytest.raises(DataError, match="2 densities for 1"):
        sampling_weights(np.ones(2), np.ones(1, np.int64), "both")
    with pytest.raises(DataError, match="pair 1 is negative"):
        sampling_weights(np.ones(2), np.array([1, -1]), "both")


def test_an_unknown_variant_is_a_usage_error():
    with pytest.raises(UsageError, match="uniform, density, category, both"):
        sampling_weights(np.ones(1), np.ones(1, np.int64), "neither")


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(frequency)
    assert tried > 0
    assert failed == 0
