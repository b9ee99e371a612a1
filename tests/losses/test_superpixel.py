"""Pooling of segments and the superpixel contrast against loops over members and pairs, and their edge cases."""

import math

import pytest
import torch

from olivine.errors import DataError, UsageError
from olivine.losses.superpixel import pool_segments, superpixel_info_nce


def pooled_by_loop(features, segments, num_segments):
    rows = []
    for segment in range(num_segments):
        members = [feature for feature, other in zip(features, segments.tolist(), strict=True) if other == segment]
        rows.append(sum(members) / len(members) if members else features.new_zeros(features.shape[1]))
    return torch.stack(rows)


def written_out(points, pixels, temperature):
    """The formula, term by term, in Python's float64."""
    points, pixels = points.tolist(), pixels.tolist()
    total = 0.0
    for s, anchor in enumerate(points):
        scores = [math.exp(sum(a * b for a, b in zip(anchor, pixel, strict=True)) / temperature) for pixel in pixels]
        total -= math.log(scores[s] / sum(scores))
    return total / len(points)


SEGMENTS = torch.tensor([3, 0, -1, 3, 0, 5, 3, -1, 0])


def test_means_and_counts_equal_a_loop(unit_features):
    features = unit_features(9)
    means, counts = pool_segments(features, SEGMENTS, 7)
    torch.testing.assert_close(means, pooled_by_loop(features, SEGMENTS, 7), rtol=1e-12, atol=1e-15)
    assert counts.tolist() == [3, 0, 0, 3, 0, 1, 0]
    assert (means[0].norm() < 1).item()
    assert torch.autograd.gradcheck(lambda rows: pool_segments(rows, SEGMENTS, 7)[0], features)


def test_pooling_does_not_depend_on_threads_to_the_last_bit():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20_000, 16, generator=generator)
    segments = torch.randint(-1, 50, (20_000,), generator=generator)
    threads = torch.get_num_threads()
    results = []
    try:
        for num_threads in (1, 2, 2):
            torch.set_num_threads(num_threads)
            rows = features.clone().requires_grad_()
            means, _ = pool_segments(rows, segments, 50)
            means.square().sum().backward()
            results.append((means.detach(), rows.grad))
    finally:
        torch.set_num_threads(threads)
    for means, gradient in results[1:]:
        assert torch.equal(means, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_pooling_widens_half_precision():
    """4 096 members of 1: a sum in half precision would stop at 2 048."""
    means, _ = pool_segments(torch.ones(4096, 1, dtype=torch.float16), torch.zeros(4096, dtype=torch.int64), 1)
    assert means.dtype == torch.float32
    assert means.item() == 1


@pytest.mark.parametrize("segments", [[], [-1, -1]], ids=["no feature", "in no segment"])
def test_pooling_nothing(unit_features, segments):
    features = unit_features(len(segments))
    means, counts = pool_segments(features, torch.tensor(segments, dtype=torch.int64), 2)
    means.sum().backward()
    assert means.tolist() == [[0] * 8] * 2
    assert counts.tolist() == [0, 0]
    assert features.grad.count_nonzero() == 0


def test_a_segment_beyond_the_number_is_an_error(unit_features):
    with pytest.raises(DataError, match="segment 5 among 5"):
        pool_segments(unit_features(9), SEGMENTS, 5)


@pytest.mark.parametrize("normalize", [False, True])
def test_contrast_equals_the_formula(unit_features, normalize):
    lengths = torch.linspace(0.2, 0.9, 12, dtype=torch.float64)[:, None]
    points, pixels = lengths * unit_features(12), lengths.flip(0) * unit_features(12, seed=1)
    loss = superpixel_info_nce(points, pixels, 0.07, normalize=normalize)
    if normalize:
        points, pixels = unit_features(12), unit_features(12, seed=1)
    assert loss.item() == pytest.approx(written_out(points, pixels, 0.07), rel=1e-10)


@pytest.mark.parametrize("normalize", [False, True])
def test_gradcheck(unit_features, normalize):
    inputs = (unit_features(5, dim=3), unit_features(5, dim=3, seed=1))
    assert torch.autograd.gradcheck(lambda *means: superpixel_info_nce(*means, 0.3, normalize=normalize), inputs)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_logits_of_100(unit_features, dtype, normalize):
    points = unit_features(64, dtype=dtype)
    loss = superpixel_info_nce(points, -points.detach(), 0.01, normalize=normalize)
    loss.backward()
    wide = points.detach().double()
    if normalize:
        wide = torch.nn.functional.normalize(wide, dim=1)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(written_out(wide, -wide, 0.01), rel=1e-5)
    assert points.grad.isfinite().all()


def test_no_segment_is_zero_with_a_graph(unit_features):
    points, pixels = unit_features(0), unit_features(0, seed=1)
    loss = superpixel_info_nce(points, pixels)
    loss.backward()
    assert loss.item() == 0
    assert points.grad.shape == pixels.grad.shape == (0, 8)


def test_temperature_must_be_positive(unit_features):
    with pytest.raises(UsageError, match="temperature"):
        superpixel_info_nce(unit_features(2), unit_features(2), temperature=0)
