"""What must hold of sampling weights and draws for any pairs."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.pretrain.heads import draw_pairs
from olivine.weigh.recipe import WeighRecipe
from olivine.weigh.stage import _Pairs, _weigh_pool

LABELS = st.one_of(st.integers(0, 12), st.just(255))
PAIRS = st.lists(st.tuples(st.integers(0, 1023), LABELS), max_size=60)
VARIANTS = st.sampled_from(["uniform", "density", "category", "both"])


def pool_of(keyframes):
    return [
        _Pairs(f"{number:08x}", np.array([r for r, _ in pairs], np.int32), np.array([y for _, y in pairs], np.uint8))
        for number, pairs in enumerate(keyframes)
    ]


@settings(max_examples=200)
@given(st.lists(PAIRS, min_size=1, max_size=4), VARIANTS)
def test_weights_of_a_pool(keyframes, variant):
    weight_P = _weigh_pool(pool_of(keyframes), WeighRecipe(variant=variant))
    label_P = np.array([label for pairs in keyframes for _, label in pairs], np.uint8)
    assert (weight_P.dtype, len(weight_P)) == (np.float32, len(label_P))
    assert np.isfinite(weight_P).all()
    assert np.array_equal(weight_P > 0, label_P != 255)
    if (label_P != 255).any():
        assert abs(weight_P.sum(dtype=np.float64) - len(keyframes)) < 1e-5 * len(keyframes)
    if variant == "uniform":
        assert len(set(weight_P[label_P != 255].tolist())) <= 1


@settings(max_examples=200)
@given(PAIRS.filter(bool), VARIANTS, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(pairs, variant, random):
    order = list(range(len(pairs)))
    random.shuffle(order)
    recipe = WeighRecipe(variant=variant)
    weight_M = _weigh_pool(pool_of([pairs]), recipe)
    shuffled_M = _weigh_pool(pool_of([[pairs[row] for row in order]]), recipe)
    np.testing.assert_allclose(shuffled_M, weight_M[order], rtol=1e-6)


@settings(max_examples=200)
@given(
    st.lists(st.floats(0, 1e30, allow_subnormal=False), max_size=50),
    st.integers(1, 60),
    st.integers(0, 2**31),
)
def test_draws_are_distinct_pairs_with_weight(weights, num_pairs, seed):
    weight_M = torch.tensor(weights, dtype=torch.float64)
    drawn = draw_pairs(weight_M, num_pairs, torch.Generator().manual_seed(seed)).tolist()
    assert len(drawn) == len(set(drawn)) == min(num_pairs, sum(weight > 0 for weight in weights))
    assert all(weights[row] > 0 for row in drawn)
    assert drawn == draw_pairs(weight_M, num_pairs, torch.Generator().manual_seed(seed)).tolist()
