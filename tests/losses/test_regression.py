"""The regression loss against a loop, and its gradient where the distance has none."""

import math

import pytest
import torch

from olivine.losses.regression import point_pixel_distance


def written_out(points, pixels):
    total = 0.0
    for point, pixel in zip(points.tolist(), pixels.tolist(), strict=True):
        total += math.sqrt(sum((a - b) ** 2 for a, b in zip(point, pixel, strict=True)))
    return total / len(points)


def test_equals_the_formula(unit_features):
    points, pixels = unit_features(12), unit_features(12, seed=1)
    assert point_pixel_distance(points, pixels).item() == pytest.approx(written_out(points, pixels), rel=1e-12)


def test_gradcheck(unit_features):
    assert torch.autograd.gradcheck(point_pixel_distance, (unit_features(5, dim=3), unit_features(5, dim=3, seed=1)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_gradient_of_pairs_that_agree_is_zero(unit_features, dtype):
    points, pixels = unit_features(4, dtype=dtype), unit_features(4, seed=1, dtype=dtype).detach()
    pixels[:2] = points[:2].detach()
    point_pixel_distance(points, pixels).backward()
    assert points.grad[:2].count_nonzero() == 0
    assert points.grad[2:].isfinite().all()
    torch.testing.assert_close(points.grad[2:].norm(dim=1), torch.full((2,), 0.25, dtype=dtype))


def test_half_precision_is_widened(unit_features):
    points, pixels = unit_features(200, dtype=torch.float16), unit_features(200, seed=1, dtype=torch.float16)
    loss = point_pixel_distance(points, pixels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(written_out(points, pixels), rel=1e-6)


def test_no_pair_is_zero_with_a_graph(unit_features):
    points, pixels = unit_features(0), unit_features(0, seed=1)
    loss = point_pixel_distance(points, pixels)
    loss.backward()
    assert loss.item() == 0
    assert points.grad.shape == pixels.grad.shape == (0, 8)
