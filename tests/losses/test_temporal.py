"""The temporal contrast against a double loop; points and segments that do not count."""

import math

import pytest
import torch

from olivine.errors import DataError, UsageError
from olivine.losses.temporal import temporal_info_nce

SEGMENTS = torch.tensor([0, 2, -1, 2, 4, 1, 0, -1, 3])
COUNTS = torch.tensor([5, 0, 1, 9, 2, 7])


def written_out(features, segments, means, counts, temperature):
    """The formula in Python's float64; segment 5 is a candidate that no point falls into."""
    losses = []
    candidates = [segment for segment, count in enumerate(counts.tolist()) if count > 0]
    for feature, own in zip(features.tolist(), segments.tolist(), strict=True):
        if own not in candidates:
            continue
        logits = {
            segment: sum(a * b for a, b in zip(feature, means[segment].tolist(), strict=True)) / temperature
            for segment in candidates
        }
        highest = max(logits.values())
        total = sum(math.exp(logit - highest) for logit in logits.values())
        losses.append(highest + math.log(total) - logits[own])
    return sum(losses) / len(losses)


@pytest.fixture
def frames(unit_features):
    lengths = torch.linspace(0.3, 0.9, 6, dtype=torch.float64)[:, None]
    means = (lengths * unit_features(6, seed=1)).detach().requires_grad_()
    return unit_features(9), SEGMENTS, means, COUNTS


def test_equals_the_formula(frames):
    assert temporal_info_nce(*frames, 0.07).item() == pytest.approx(written_out(*frames, 0.07), rel=1e-10)


def test_gradcheck(unit_features):
    inputs = (unit_features(9, dim=3), unit_features(6, dim=3, seed=1))
    assert torch.autograd.gradcheck(lambda rows, means: temporal_info_nce(rows, SEGMENTS, means, COUNTS, 0.3), inputs)


def test_points_outside_and_empty_segments_get_no_gradient(frames):
    features, _, means, _ = frames
    rows, columns = torch.autograd.grad(temporal_info_nce(*frames), [features, means])
    assert rows.any(dim=1).tolist() == [segment not in (-1, 1) for segment in SEGMENTS.tolist()]
    assert columns.any(dim=1).tolist() == [count > 0 for count in COUNTS.tolist()]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_logits_of_100(unit_features, dtype):
    """The mean of every segment is the opposite of the one point that falls into it."""
    means = unit_features(40, dtype=dtype)
    features, segments, counts = -means.detach(), torch.arange(40), torch.ones(40, dtype=torch.int64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = temporal_info_nce(features, segments, means, counts, 0.01)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(written_out(features, segments, means, counts, 0.01), rel=1e-5)
    assert loss.item() > 100
    assert means.grad.isfinite().all()


@pytest.mark.parametrize("segments", [[], [-1, -1], [1, -1]], ids=["no point", "outside", "in an empty segment"])
def test_nothing_to_compare_is_zero_with_a_graph(unit_features, segments):
    features, means = unit_features(len(segments)), unit_features(6, seed=1)
    loss = temporal_info_nce(features, torch.tensor(segments, dtype=torch.int64), means, COUNTS)
    loss.backward()
    assert loss.item() == 0
    assert features.grad.count_nonzero() == means.grad.count_nonzero() == 0


def test_a_segment_beyond_the_means_is_an_error(frames):
    features, segments, means, counts = frames
    with pytest.raises(DataError, match="segment 4 among 4"):
        temporal_info_nce(features, segments, means[:4], counts[:4])


def test_temperature_must_be_positive(frames):
    with pytest.raises(UsageError, match="temperature"):
        temporal_info_nce(*frames, temperature=0)
