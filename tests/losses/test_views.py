"""The contrast of two views against a double loop, in one direction and in both."""

import math

import pytest
import torch

from olivine.errors import UsageError
from olivine.losses.views import view_info_nce


def written_out(anchors, candidates, temperature):
    """The formula in one direction, in Python's float64."""
    anchors, candidates = anchors.tolist(), candidates.tolist()
    total = 0.0
    for i, anchor in enumerate(anchors):
        logits = [sum(a * b for a, b in zip(anchor, other, strict=True)) / temperature for other in candidates]
        highest = max(logits)
        total += highest + math.log(sum(math.exp(logit - highest) for logit in logits)) - logits[i]
    return total / len(anchors)


def test_one_direction_is_the_published_formula(unit_features):
    first, second = unit_features(12), unit_features(12, seed=1)
    assert view_info_nce(first, second).item() == pytest.approx(written_out(first, second, 0.07), rel=1e-10)


def test_both_directions_are_the_mean_and_commute(unit_features):
    first, second = unit_features(12), unit_features(12, seed=1)
    directions = [written_out(first, second, 0.4), written_out(second, first, 0.4)]
    assert directions[0] != pytest.approx(directions[1], rel=1e-3)
    for views in ((first, second), (second, first)):
        assert view_info_nce(*views, 0.4, symmetric=True).item() == pytest.approx(sum(directions) / 2, rel=1e-10)


@pytest.mark.parametrize("symmetric", [False, True])
def test_gradcheck(unit_features, symmetric):
    inputs = (unit_features(5, dim=3), unit_features(5, dim=3, seed=1))
    assert torch.autograd.gradcheck(lambda *views: view_info_nce(*views, 0.3, symmetric=symmetric), inputs)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_logits_of_100(unit_features, dtype, symmetric):
    first = unit_features(64, dtype=dtype)
    loss = view_info_nce(first, -first.detach(), 0.01, symmetric=symmetric)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(written_out(first, -first, 0.01), rel=1e-5)
    assert first.grad.isfinite().all()


@pytest.mark.parametrize("symmetric", [False, True])
def test_no_point_is_zero_with_a_graph(unit_features, symmetric):
    first, second = unit_features(0), unit_features(0, seed=1)
    loss = view_info_nce(first, second, symmetric=symmetric)
    loss.backward()
    assert loss.item() == 0
    assert first.grad.shape == second.grad.shape == (0, 8)


def test_temperature_must_be_positive(unit_features):
    with pytest.raises(UsageError, match="temperature"):
        view_info_nce(unit_features(2), unit_features(2), temperature=-1, symmetric=True)
