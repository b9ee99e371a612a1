"""The category-aware loss against a dense mask, the paper's variant of it, and the edge cases of weak labels."""

import pytest
import torch

from olivine.errors import UsageError
from olivine.losses.category_aware import category_aware_contrastive
from olivine.losses.point_pixel import point_pixel_info_nce


def dense(points, pixels, categories, temperature=0.07, *, divide_by_positives=False):
    """Reference code's form with a full mask; with the division, the paper's."""
    logits = points @ pixels.T / temperature
    positive = categories[:, None] == categories
    numerator = torch.logsumexp(logits.masked_fill(~positive, -torch.inf), dim=1)
    if divide_by_positives:
        numerator = numerator - positive.sum(dim=1).log()
    return (torch.logsumexp(logits, dim=1) - numerator).mean()


@pytest.fixture
def pairs(unit_features):
    categories = torch.randint(0, 5, (40,), generator=torch.Generator().manual_seed(2))
    return unit_features(40), unit_features(40, seed=1), categories


def gradients(loss, pairs):
    return torch.autograd.grad(loss, pairs[:2])


def test_equals_the_dense_form_and_its_gradient(pairs):
    ours, expected = category_aware_contrastive(*pairs), dense(*pairs)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(gradients(ours, pairs), gradients(expected, pairs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_the_papers_form_has_the_same_gradient_and_another_value(pairs):
    ours, paper = category_aware_contrastive(*pairs), dense(*pairs, divide_by_positives=True)
    num_positives = (pairs[2][:, None] == pairs[2]).sum(dim=1)
    assert (paper - ours).item() == pytest.approx(num_positives.log().mean().item(), rel=1e-5)
    for mine, theirs in zip(gradients(ours, pairs), gradients(paper, pairs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_with_every_category_once_it_is_info_nce(pairs):
    points, pixels, _ = pairs
    loss = category_aware_contrastive(points, pixels, torch.randperm(40))
    assert loss.item() == pytest.approx(point_pixel_info_nce(points, pixels).item(), rel=1e-12)


def test_ignored_pairs_are_neither_anchors_nor_candidates(pairs):
    points, pixels, categories = pairs
    kept = categories > 1
    loss = category_aware_contrastive(points, pixels, torch.where(kept, categories, -1))
    assert loss.item() == pytest.approx(dense(points[kept], pixels[kept], categories[kept]).item(), rel=1e-12)
    for gradient in gradients(loss, pairs):
        assert gradient[~kept].count_nonzero() == 0
        assert gradient[kept].any(dim=1).all()


def test_order_of_the_pairs_does_not_matter(pairs):
    order = torch.randperm(40)
    shuffled = [column[order] for column in pairs]
    expected = category_aware_contrastive(*pairs).item()
    assert category_aware_contrastive(*shuffled).item() == pytest.approx(expected, rel=1e-12)


def test_duplicated_pairs_change_nothing(pairs):
    """Twice every pair: both sums double, so their ratio stays."""
    doubled = [torch.cat([column, column]) for column in pairs]
    expected = category_aware_contrastive(*pairs).item()
    assert category_aware_contrastive(*doubled).item() == pytest.approx(expected, rel=1e-12)


def test_gradcheck(unit_features):
    inputs = (unit_features(6, dim=3), unit_features(6, dim=3, seed=1))
    categories = torch.tensor([0, 1, 1, -1, 7, 0])
    assert torch.autograd.gradcheck(lambda *features: category_aware_contrastive(*features, categories), inputs)


@pytest.mark.parametrize("categories", [[3, 3, 3], [-1, -1, -1], [-1, 2, -1]], ids=["one", "none", "one pair"])
def test_nothing_to_tell_apart_is_exactly_zero_with_a_graph(unit_features, categories):
    points, pixels = unit_features(3, dtype=torch.float32), unit_features(3, seed=1, dtype=torch.float32)
    loss = category_aware_contrastive(points, pixels, torch.tensor(categories))
    loss.backward()
    assert loss.item() == 0
    assert points.grad.count_nonzero() == pixels.grad.count_nonzero() == 0


def test_no_pair_at_all(unit_features):
    points = unit_features(0)
    loss = category_aware_contrastive(points, unit_features(0), torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_where_positives_underflow(unit_features, dtype):
    """Positives 200 below the row's maximum: exp() of them is zero in any precision, the loss is 200 all the same."""
    axis = torch.tensor([[1.0, 0.0]], dtype=dtype)
    points = torch.cat([axis, axis, -axis, -axis]).requires_grad_()
    categories = torch.tensor([0, 0, 1, 1])
    loss = category_aware_contrastive(points, -points.detach(), categories, temperature=0.01)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(200, rel=1e-5)
    assert points.grad.isfinite().all()
    assert points.grad.any()


def test_temperature_must_be_positive(pairs):
    with pytest.raises(UsageError):
        category_aware_contrastive(*pairs, temperature=-1)
