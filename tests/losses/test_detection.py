"""The losses of an anchor head, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from olivine.losses.detection import box_distance, head_losses


def output(num_frames=2, num_anchors=5, num_kinds=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    shapes = [(num_frames, num_anchors, width) for width in (num_kinds, 7, 2, 7)]
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]


KIND = torch.tensor([[0, 2, -1, -2, -1], [-1, -2, 1, -1, -1]])
DIRECTION = torch.tensor([[1, 0, 0, 0, 0], [0, 0, 1, 0, 0]])


def focal(logit, is_it):
    """Equation 5 of the focal loss (Lin et al., ICCV 2017): -alpha_t (1 - p_t)^gamma log p_t."""
    p = 1 / (1 + math.exp(-logit))
    alpha, right = (0.25, p) if is_it else (0.75, 1 - p)
    return -alpha * (1 - right) ** 2 * math.log(right)


def test_the_focal_loss_over_the_anchors_that_count():
    logits, offsets, directions, wanted = output()
    found = head_losses(logits, offsets, directions, KIND, wanted, DIRECTION).kind
    expected = 0.0
    for frame in range(2):
        kinds = KIND[frame].tolist()
        parts = [
            focal(logit, kind == column)
            for row, kind in zip(logits[frame].tolist(), kinds, strict=True)
            if kind > -2
            for column, logit in enumerate(row)
        ]
        expected += sum(parts) / sum(kind >= 0 for kind in kinds) / 2
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_one_anchor_by_hand():
    """Probability one half: alpha 1/4 times (1/2)^2 times ln 2 for the right class, 3/4 for each of the others."""
    zeros = torch.zeros(1, 1, 3), torch.zeros(1, 1, 7), torch.zeros(1, 1, 2)
    found = head_losses(*zeros, torch.tensor([[1]]), torch.zeros(1, 1, 7), torch.tensor([[0]]))
    assert found.kind.item() == pytest.approx((0.25 + 0.75 + 0.75) * 0.25 * math.log(2))
    assert found.box.item() == 0
    assert found.direction.item() == pytest.approx(math.log(2))


def test_box_distance_by_hand():
    """0.05 lies in the parabola (0.5 x^2 / beta), 2 on the line (x - beta / 2)."""
    offsets = torch.tensor([[0.05, 2.0, 0, 0, 0, 0, 0]])
    assert box_distance(offsets, torch.zeros(1, 7)).item() == pytest.approx(0.5 * 0.05**2 * 9 + 2 - 1 / 18)


@pytest.mark.parametrize("turn", [math.pi, -math.pi, 2 * math.pi])
def test_half_a_turn_costs_nothing(turn):
    offsets, wanted = torch.zeros(1, 7, dtype=torch.float64), torch.zeros(1, 7, dtype=torch.float64)
    offsets[0, 6], wanted[0, 6] = 0.3 + turn, 0.3
    assert box_distance(offsets, wanted).item() == pytest.approx(0, abs=1e-12)
    offsets[0, 6] += 0.5
    # The sine of the difference.
    assert box_distance(offsets, wanted).item() == pytest.approx(math.sin(0.5) - 1 / 18)


def test_frames_are_averaged_by_their_own_number_of_objects():
    logits, offsets, directions, wanted = output()
    both = head_losses(logits, offsets, directions, KIND, wanted, DIRECTION)
    each = [
        head_losses(*(part[frame : frame + 1] for part in (logits, offsets, directions, KIND, wanted, DIRECTION)))
        for frame in range(2)
    ]
    for name in ("kind", "box", "direction"):
        assert getattr(both, name).item() == pytest.approx(sum(getattr(part, name).item() for part in each) / 2)


def test_without_an_object_there_is_a_class_loss_alone_and_a_graph():
    logits, offsets, directions, wanted = output()
    offsets.requires_grad_()
    found = head_losses(
        logits, offsets, directions, torch.full((2, 5), -1), wanted, torch.zeros(2, 5, dtype=torch.long)
    )
    assert found.kind > 0
    assert (found.box.item(), found.direction.item()) == (0, 0)
    found.box.backward()
    assert (offsets.grad == 0).all()
