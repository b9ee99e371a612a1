"""Point-pixel InfoNCE against the written-out formula, closed forms and the edge cases of a batch."""

import pytest
import torch

from olivine.errors import UsageError
from olivine.losses.point_pixel import point_pixel_info_nce


def written_out(points, pixels, temperature):
    """The published formula, term by term."""
    total = 0.0
    for i in range(len(points)):
        scores = [torch.exp(points[i] @ pixels[j] / temperature) for j in range(len(pixels))]
        total = total - torch.log(scores[i] / sum(scores))
    return total / len(points)


def test_equals_the_published_formula_and_its_gradient(unit_features):
    points, pixels = unit_features(12), unit_features(12, seed=1)
    ours, expected = point_pixel_info_nce(points, pixels, 0.07), written_out(points, pixels, 0.07)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-10)
    for mine, theirs in zip(
        torch.autograd.grad(ours, [points, pixels]), torch.autograd.grad(expected, [points, pixels]), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


def test_points_are_the_anchors_and_pixels_the_candidates():
    """Both points look like pixel 0; only one direction of the contrast sees it this way."""
    points, pixels = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    e = torch.e
    expected = (-torch.tensor(e / (e + 1)).log() - torch.tensor(1 / (e + 1)).log()) / 2
    assert point_pixel_info_nce(points, pixels, 1.0).item() == pytest.approx(expected.item(), rel=1e-6)


def test_equal_features_give_the_logarithm_of_the_number_of_pairs():
    same = torch.ones(50, 1)
    assert point_pixel_info_nce(same, same).item() == pytest.approx(torch.tensor(50.0).log().item(), rel=1e-5)


def test_gradcheck(unit_features):
    inputs = (unit_features(5, dim=3), unit_features(5, dim=3, seed=1))
    assert torch.autograd.gradcheck(point_pixel_info_nce, inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_logits_of_100(unit_features, dtype):
    points = unit_features(64, dtype=dtype)
    loss = point_pixel_info_nce(points, -points.detach(), temperature=0.01)
    loss.backward()
    exact = point_pixel_info_nce(points.detach().double(), -points.detach().double(), temperature=0.01)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    assert loss.item() > 100
    assert points.grad.dtype == dtype
    assert points.grad.isfinite().all()


def test_no_pair_is_zero_with_a_graph(unit_features):
    points, pixels = unit_features(0), unit_features(0, seed=1)
    loss = point_pixel_info_nce(points, pixels)
    loss.backward()
    assert loss.item() == 0
    assert points.grad.shape == pixels.grad.shape == (0, 8)


def test_one_pair_has_nothing_to_contrast_with(unit_features):
    points = unit_features(1)
    loss = point_pixel_info_nce(points, unit_features(1, seed=1))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(points.grad, torch.zeros_like(points), atol=1e-12, rtol=0)


def test_temperature_must_be_positive(unit_features):
    with pytest.raises(UsageError):
        point_pixel_info_nce(unit_features(2), unit_features(2), temperature=0)
