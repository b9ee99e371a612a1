"""Lovasz-softmax against the definition of the Lovasz extension, point by point and class by class."""

import pytest
import torch

from olivine.losses.lovasz import lovasz_softmax


def jaccard_loss(mispredicted: set[int], foreground: set[int]) -> float:
    """Equation 6 of the paper: one minus the Jaccard index when exactly these points are mispredicted."""
    return len(mispredicted) / len(foreground | mispredicted)


def naive(logits, targets, ignore=0):
    """The extension by its definition: errors in falling order, each times the growth of the set function."""
    kept = [i for i in range(len(targets)) if int(targets[i]) != ignore]
    losses = []
    for category in sorted({int(targets[i]) for i in kept}):
        foreground = {i for i in kept if int(targets[i]) == category}
        probabilities = {i: torch.exp(logits[i])[category] / torch.exp(logits[i]).sum() for i in kept}
        errors = {i: 1 - probabilities[i] if i in foreground else probabilities[i] for i in kept}
        loss, wrong = torch.zeros((), dtype=logits.dtype), set()
        for i in sorted(kept, key=lambda i: -errors[i].item()):
            growth = jaccard_loss(wrong | {i}, foreground) - jaccard_loss(wrong, foreground)
            loss = loss + errors[i] * growth
            wrong.add(i)
        losses.append(loss)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_definition_and_its_gradient(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(30, 6, dtype=torch.float64, generator=generator).requires_grad_()
    targets = torch.randint(0, 5, (30,), generator=generator)
    ours, expected = lovasz_softmax(logits, targets), naive(logits, targets)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-10)
    torch.testing.assert_close(
        *[torch.autograd.grad(loss, logits)[0] for loss in (ours, expected)], rtol=1e-8, atol=1e-12
    )


def test_of_hard_predictions_it_is_the_mean_jaccard_loss():
    targets, predicted = torch.tensor([1, 1, 1, 2, 2, 0]), torch.tensor([1, 1, 2, 2, 2, 1])
    logits = 100 * torch.nn.functional.one_hot(predicted, 3).double()
    assert lovasz_softmax(logits, targets).item() == pytest.approx(1 - (2 / 3 + 2 / 3) / 2)


def test_another_class_can_be_ignored():
    logits, targets = torch.randn(20, 4, dtype=torch.float64), torch.arange(20) % 4
    assert lovasz_softmax(logits, targets, ignore=2).item() == pytest.approx(naive(logits, targets, ignore=2).item())


@pytest.mark.parametrize("num_points", [0, 3])
def test_nothing_labelled_is_zero_with_a_graph(num_points):
    logits = torch.full((num_points, 4), float("nan"), requires_grad=True)
    loss = lovasz_softmax(logits, torch.zeros(num_points, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.count_nonzero() == 0


def test_half_precision():
    logits = (60 * torch.randn(200, 5, generator=torch.Generator().manual_seed(0))).half().requires_grad_()
    loss = lovasz_softmax(logits, torch.arange(200) % 5)
    loss.backward()
    exact = lovasz_softmax(logits.detach().double(), torch.arange(200) % 5)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    assert logits.grad.isfinite().all()
