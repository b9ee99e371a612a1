"""What must hold of the losses for any categories, repeated voxels, features at the edge of a precision, and batches."""

from __future__ import annotations

import math
from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.losses.category_aware import category_aware_contrastive
from olivine.losses.momentum import KeyQueue, queue_info_nce
from olivine.losses.point_pixel import point_pixel_info_nce
from olivine.losses.regression import point_pixel_distance
from olivine.losses.superpixel import pool_segments, superpixel_info_nce
from olivine.losses.temporal import temporal_info_nce
from olivine.losses.tolerant import tolerant_info_nce
from olivine.losses.views import view_info_nce
from olivine.losses.vmf import VonMisesFisher

CATEGORIES = st.lists(st.integers(-2, 6), max_size=14)
VOXELS = st.lists(st.integers(0, 4), min_size=1, max_size=14)
# Axes of a plane: equal, orthogonal and opposite features, whose logits at 0.01 are 100, 0 and -100.
AXES = st.lists(st.sampled_from([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.6, 0.8)]), min_size=1, max_size=12)


def unit_rows(num_rows: int, seed: int) -> torch.Tensor:
    rows = torch.randn(num_rows, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


def category_aware_in_loops(points, pixels, categories, temperature):
    """The reference code's form, pair by pair."""
    kept = [i for i, category in enumerate(categories) if category >= 0]
    total = torch.zeros((), dtype=torch.float64)
    for i in kept:
        scores = {j: torch.exp(points[i] @ pixels[j] / temperature) for j in kept}
        positives = sum(score for j, score in scores.items() if categories[j] == categories[i])
        total = total - torch.log(positives / sum(scores.values()))
    return total / max(1, len(kept))


@settings(max_examples=100)
@given(CATEGORIES, st.integers(0, 99))
def test_category_aware_equals_the_double_loop_for_any_categories(categories, seed):
    points, pixels = unit_rows(len(categories), seed), unit_rows(len(categories), seed + 100)
    ours = category_aware_contrastive(points, pixels, torch.tensor(categories, dtype=torch.int64), 0.1)
    expected = category_aware_in_loops(points, pixels, categories, 0.1)
    assert math.isclose(ours.item(), expected.item(), rel_tol=1e-9, abs_tol=1e-12)


@settings(max_examples=50)
@given(VOXELS, st.integers(0, 99))
def test_the_gradient_of_a_voxel_gathers_all_its_pairs(voxels, seed):
    """Pairs of one voxel share its feature; so do a point in two cameras and two points in one voxel."""
    rows, categories = torch.tensor(voxels), [voxel % 3 for voxel in voxels]
    table, pixels = unit_rows(5, seed).requires_grad_(), unit_rows(len(voxels), seed + 100)
    ours = category_aware_contrastive(table[rows], pixels, torch.tensor(categories), 0.1)
    expected = category_aware_in_loops(table[rows], pixels, categories, 0.1)
    torch.testing.assert_close(
        *[torch.autograd.grad(loss, table)[0] for loss in (ours, expected)], rtol=1e-8, atol=1e-11
    )


def every_loss(points, pixels, temperature):
    """All losses of one batch; the numbers of the rows are their categories and segments."""
    numbers = torch.arange(len(points))
    statistics = VonMisesFisher(len(points), 2, corrected=True, max_concentration=64.0)
    statistics.update(pixels, numbers)
    counts = torch.ones_like(numbers)
    yield point_pixel_info_nce(points, pixels, temperature)
    yield category_aware_contrastive(points, pixels, numbers % 2, temperature)
    yield superpixel_info_nce(*(pool_segments(each, numbers // 2, len(points))[0] for each in (points, pixels)))
    yield superpixel_info_nce(points, pixels, temperature, normalize=True)
    for form in ("zero_logit", "left_out"):
        yield tolerant_info_nce(points, pixels, pixels, temperature, dropped_share=0.5, dropped_form=form)
    yield temporal_info_nce(points, numbers, pixels, counts, temperature)
    yield view_info_nce(points, pixels, temperature, symmetric=True)
    yield queue_info_nce(points, pixels, pixels, temperature)
    yield point_pixel_distance(points, pixels)
    yield statistics(points, numbers)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@settings(max_examples=30)
@given(AXES, AXES)
def test_values_and_gradients_are_finite_and_right_at_temperature_0_01(dtype, first, second):
    num_pairs = min(len(first), len(second))
    points, pixels = (torch.tensor(axes[:num_pairs], dtype=dtype) for axes in (first, second))
    points.requires_grad_()
    losses = list(every_loss(points, pixels, 0.01))
    exact = list(every_loss(points.detach().double(), pixels.double(), 0.01))
    for ours, expected in zip(losses, exact, strict=True):
        assert math.isclose(ours.item(), expected.item(), rel_tol=1e-4, abs_tol=1e-4)
    torch.stack(losses).sum().backward()
    assert points.grad.isfinite().all()


@settings(max_examples=100)
@given(st.lists(st.integers(-1, 5), max_size=30), st.integers(0, 99))
def test_means_times_counts_are_the_sum_of_all_members(segments, seed):
    features, segment_N = unit_rows(len(segments), seed), torch.tensor(segments, dtype=torch.int64)
    means, counts = pool_segments(features, segment_N, 6)
    assert counts.tolist() == [segments.count(segment) for segment in range(6)]
    total = (means * counts[:, None]).sum(dim=0)
    torch.testing.assert_close(total, features[segment_N >= 0].sum(dim=0), rtol=1e-9, atol=1e-12)


@settings(max_examples=100)
@given(st.integers(1, 7), st.lists(st.integers(0, 9), max_size=12))
def test_the_queue_is_a_deque(size, batches):
    queue, model, number = KeyQueue(size, 1), deque(maxlen=size), 0
    for batch in batches:
        keys = [float(number + each) for each in range(batch)]
        number += batch
        queue.enqueue(torch.tensor(keys).reshape(-1, 1))
        model.extend(keys)
        assert sorted(queue.filled[:, 0].tolist()) == list(model)
