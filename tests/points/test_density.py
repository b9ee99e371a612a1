"""The binned density against the double sum it replaces, and on degenerate radii."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from olivine.errors import DataError
from olivine.points import density
from olivine.points.density import MAX_BINS, density_table, estimate_density, silverman_bandwidth

radii = hnp.arrays(np.int64, st.integers(2, 80), elements=st.integers(0, 1000)).filter(lambda r: np.ptp(r) > 0)


def dense(radial_index_M):
    """The published form: a kernel between every radius and every pair."""
    r = radial_index_M.astype(np.float64)
    h = 1.06 * r.std(ddof=1) * len(r) ** (-1 / 5)
    kernel = np.exp(-0.5 * ((r[:, None] - r) / h) ** 2) / math.sqrt(2 * math.pi)
    return kernel.sum(axis=1) / (len(r) * h)


def sweep_like(num_pairs=3000, seed=0):
    """Radial bins that thin out as 1/r, as a sweep's do."""
    return (20 * 45 ** np.random.default_rng(seed).random(num_pairs)).astype(np.int32)


@settings(max_examples=500, deadline=None)
@given(radii)
def test_equals_the_double_sum(radial_index_M):
    np.testing.assert_allclose(estimate_density(radial_index_M), dense(radial_index_M), rtol=1e-11)


def test_equals_the_double_sum_on_a_sweep_and_scipy():
    r = sweep_like()
    h = silverman_bandwidth(r)
    np.testing.assert_allclose(estimate_density(r), dense(r), rtol=1e-11)
    scipy_kde = stats.gaussian_kde(r, bw_method=h / r.std(ddof=1))
    np.testing.assert_allclose(estimate_density(r), scipy_kde(r), rtol=1e-9)


@settings(max_examples=200, deadline=None)
@given(radii, st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_does_not_depend_on_order_or_origin(radial_index_M, shift, random):
    order = np.array(random.sample(range(len(radial_index_M)), len(radial_index_M)))
    expected = estimate_density(radial_index_M)
    np.testing.assert_allclose(estimate_density(radial_index_M[order]), expected[order], rtol=1e-12)
    np.testing.assert_allclose(estimate_density(radial_index_M + shift), expected, rtol=1e-12)


def test_near_pairs_are_denser_than_far_ones():
    r = sweep_like()
    values = estimate_density(r)
    assert values[r < 60].min() > values[r > 600].max()


def test_a_table_of_pooled_histograms_is_the_density_of_the_pooled_pairs():
    keyframes = [sweep_like(seed=seed) for seed in range(4)]
    table = density_table(sum(np.bincount(r, minlength=1000) for r in keyframes))
    pooled = np.concatenate(keyframes)
    assert table.shape == (1000,)
    np.testing.assert_allclose(table[pooled], estimate_density(pooled), rtol=1e-11)


def test_the_table_integrates_to_one():
    counts = np.zeros(4000)
    counts[1500:2500] = np.bincount(sweep_like(), minlength=1000)
    assert density_table(counts).sum() == pytest.approx(1, rel=1e-6)


def test_a_narrow_peak_far_from_the_rest_is_not_cut_off():
    """Bandwidth far below the range: the kernel's support is shorter than the table."""
    r = np.concatenate([np.repeat(30_000, 40_000), [0, 60_000]])
    np.testing.assert_allclose(
        estimate_density(r)[[0, -2, -1]],
        [np.exp(-0.5 * ((r - at) / silverman_bandwidth(r)) ** 2).sum() / normal(r) for at in (30_000, 0, 60_000)],
        rtol=1e-11,
    )


def normal(r):
    return math.sqrt(2 * math.pi) * len(r) * silverman_bandwidth(r)


@pytest.mark.parametrize("radius", [0, 7, 1000])
@pytest.mark.parametrize("num_pairs", [1, 2, 500])
def test_one_radius_has_one_positive_density(radius, num_pairs):
    values = estimate_density(np.full(num_pairs, radius))
    assert (values == values[0]).all()
    assert np.isfinite(values[0])
    assert values[0] > 0


def test_no_pair():
    assert estimate_density(np.zeros(0, np.int32)).shape == (0,)
    assert density_table(np.zeros(5, np.int64)).tolist() == [0] * 5
    assert density_table(np.zeros(0, np.int64)).shape == (0,)


def test_bandwidth_is_silvermans_rule():
    values = np.random.default_rng(0).normal(50, 9, 400)
    assert silverman_bandwidth(values) == pytest.approx(1.06 * values.std(ddof=1) * 400**-0.2)
    bins, counts = np.unique(values.astype(int), return_counts=True)
    assert silverman_bandwidth(bins, counts) == pytest.approx(silverman_bandwidth(values.astype(int)))


@pytest.mark.parametrize("values", [[], [3.0], [0.1] * 7])
def test_bandwidth_of_no_spread_is_exactly_zero(values):
    assert silverman_bandwidth(np.array(values)) == 0.0


@pytest.mark.parametrize(
    ("radial_index_M", "message"),
    [([0, -1], "from -1 to 0"), ([0, MAX_BINS], f"to {MAX_BINS}"), ([0.5, 1.0], "float64")],
)
def test_radii_that_are_no_bins_are_refused(radial_index_M, message):
    with pytest.raises(DataError, match=message):
        estimate_density(np.array(radial_index_M))


def test_histograms_that_are_none_are_refused():
    with pytest.raises(DataError, match="bin 1 has a negative count"):
        density_table(np.array([1, -1]))
    with pytest.raises(DataError, match="65537 radial bins"):
        density_table(np.ones(MAX_BINS + 1))


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(density)
    assert tried > 0
    assert failed == 0


def test_equals_scikit_learn():
    from sklearn.neighbors import KernelDensity

    radial_M = np.random.default_rng(3).gamma(2.0, 60.0, 4000).astype(np.int64)
    bandwidth = silverman_bandwidth(radial_M)
    kernel = KernelDensity(kernel="gaussian", bandwidth=bandwidth, rtol=1e-10).fit(radial_M[:, None])
    unique, inverse = np.unique(radial_M, return_inverse=True)
    expected_M = np.exp(kernel.score_samples(unique[:, None].astype(float)))[inverse]
    np.testing.assert_allclose(estimate_density(radial_M), expected_M, rtol=1e-6)
