"""The fine-tuning loss: the sum of its two parts over the labelled points."""

import pytest
import torch

from olivine.losses.lovasz import lovasz_softmax
from olivine.losses.segmentation import segmentation_loss


def test_is_cross_entropy_plus_lovasz_over_labelled_points():
    logits, targets = torch.randn(40, 5, dtype=torch.float64), torch.arange(40) % 5
    labelled = targets != 0
    entropy = -logits.log_softmax(dim=1)[labelled, targets[labelled]].mean()
    expected = entropy + lovasz_softmax(logits[labelled], targets[labelled])
    assert segmentation_loss(logits, targets).item() == pytest.approx(expected.item())


def test_unlabelled_points_get_no_gradient():
    logits, targets = torch.randn(12, 3, requires_grad=True), torch.arange(12) % 3
    segmentation_loss(logits, targets).backward()
    assert (logits.grad.any(dim=1) == (targets != 0)).all()


@pytest.mark.parametrize("num_points", [0, 3])
def test_nothing_labelled_is_zero_with_a_graph(num_points):
    logits = torch.zeros(num_points, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.zeros(num_points, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.count_nonzero() == 0


def test_half_precision_is_widened():
    generator = torch.Generator().manual_seed(0)
    logits = (100 * torch.randn(500, 5, generator=generator)).half().requires_grad_()
    targets = torch.arange(500) % 5
    loss = segmentation_loss(logits, targets)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(segmentation_loss(logits.detach().double(), targets).item(), rel=1e-5)
    assert logits.grad.isfinite().all()
