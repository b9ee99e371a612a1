"""The sum of log-partitions against torch.logsumexp, and its gradient."""

import pytest
import torch

from olivine.errors import UsageError
from olivine.losses import log_partition
from olivine.losses.log_partition import require_temperature, sum_log_partition, zero_with_graph


def dense(anchors, candidates, temperature):
    return torch.logsumexp(anchors @ candidates.T / temperature, dim=1).sum()


@pytest.mark.parametrize("chunk", [1, 7, 40, 10**6])
def test_value_and_gradient_equal_the_dense_form_for_any_chunk(unit_features, monkeypatch, chunk):
    monkeypatch.setitem(log_partition.CHUNK_ELEMENTS, "cpu", chunk)
    anchors, candidates = unit_features(11), unit_features(6, seed=1)
    ours, expected = sum_log_partition(anchors, candidates, 0.07), dense(anchors, candidates, 0.07)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(3 * ours, [anchors, candidates]),
        torch.autograd.grad(3 * expected, [anchors, candidates]),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_gradcheck(unit_features):
    inputs = (unit_features(5, dim=3), unit_features(4, dim=3, seed=1))
    assert torch.autograd.gradcheck(lambda anchors, candidates: sum_log_partition(anchors, candidates, 0.2), inputs)


@pytest.mark.parametrize("dropped_logit", [0.0, -torch.inf])
@pytest.mark.parametrize("chunk", [7, 10**6])
def test_weighted_anchors_and_dropped_candidates(unit_features, monkeypatch, chunk, dropped_logit):
    monkeypatch.setitem(log_partition.CHUNK_ELEMENTS, "cpu", chunk)
    anchors, candidates = unit_features(5), unit_features(6, seed=1)
    weights = torch.tensor([1.0, 0.0, 0.3, 2.0, 0.5], dtype=torch.float64)
    dropped = torch.tensor([[0, 1], [2, 3], [5, 0], [1, 4], [3, 2]])
    options = {"weights_A": weights, "dropped_AK": dropped, "dropped_logit": dropped_logit}
    ours = sum_log_partition(anchors, candidates, 0.1, **options)
    logits = (anchors @ candidates.T / 0.1).scatter(1, dropped, dropped_logit)
    expected = (weights * torch.logsumexp(logits, dim=1)).sum()
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(3 * ours, [anchors, candidates]),
        torch.autograd.grad(3 * expected, [anchors, candidates]),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("which", [0, 1])
def test_gradient_of_one_input_alone(unit_features, which):
    inputs = [unit_features(5).detach(), unit_features(4, seed=1).detach()]
    inputs[which].requires_grad_()
    (ours,) = torch.autograd.grad(sum_log_partition(*inputs, 0.1), inputs[which])
    (expected,) = torch.autograd.grad(dense(*inputs, 0.1), inputs[which])
    torch.testing.assert_close(ours, expected)


def test_value_without_a_graph(unit_features):
    with torch.no_grad():
        total = sum_log_partition(unit_features(5), unit_features(4, seed=1), 0.1)
    assert not total.requires_grad


def test_half_precision_is_widened_also_under_autocast(unit_features):
    anchors, candidates = unit_features(9).detach(), unit_features(9, seed=1).detach()
    expected = dense(anchors.bfloat16().double(), candidates.bfloat16().double(), 0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = sum_log_partition(anchors.bfloat16(), candidates.bfloat16(), 0.01)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -0.07, float("nan")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(UsageError, match="temperature"):
        require_temperature(temperature)


def test_zero_with_graph_is_zero_and_passes_zeros_back():
    broken = torch.full((2, 3), float("inf"), dtype=torch.float16, requires_grad=True)
    zero = zero_with_graph(broken, torch.zeros(0, 3))
    zero.backward()
    assert zero.item() == 0
    assert broken.grad.tolist() == [[0, 0, 0], [0, 0, 0]]
