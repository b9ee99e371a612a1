"""IoU against plain loops over points, and against the official evaluator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.metrics.confusion import Confusion
from olivine.metrics.iou import frequency_weighted_iou, iou_per_category, mean_iou


def count(pairs, num_categories):
    confusion = Confusion(num_categories)
    target_N, prediction_N = np.array(pairs, np.uint8).reshape(-1, 2).T
    confusion.add(target_N, prediction_N)
    return confusion.counts_CC


def iou_by_loops(pairs, num_categories):
    """Set arithmetic over the scored points; None where a category does not occur."""
    scored = [(target, prediction) for target, prediction in pairs if target]
    result = [None]
    for category in range(1, num_categories):
        both = sum(1 for target, prediction in scored if target == prediction == category)
        either = sum(1 for target, prediction in scored if category in (target, prediction))
        result.append(both / either if either else None)
    return result


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=60))
def test_equals_set_arithmetic(pairs):
    counts = count(pairs, 6)
    expected = iou_by_loops(pairs, 6)
    assert [None if math.isnan(value) else value for value in iou_per_category(counts)] == pytest.approx(expected)
    present = [value for value in expected if value is not None]
    targets = [target for target, _ in pairs if target]
    if not present:
        assert math.isnan(mean_iou(counts))
        assert math.isnan(frequency_weighted_iou(counts))
        return
    assert mean_iou(counts) == pytest.approx(sum(present) / len(present))
    assert frequency_weighted_iou(counts) == pytest.approx(sum(expected[target] for target in targets) / len(targets))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1, 1000, 2**22, 2**31]))
def test_equals_the_devkit_to_one_in_a_billion(seed, scale):
    """Also far beyond 2^24 points, where the devkit's float32 denominator rounds."""
    from nuscenes.eval.lidarseg.utils import ConfusionMatrix

    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 50, (17, 17)) * scale + rng.integers(0, 2, (17, 17))
    counts[rng.random(17) < 0.2, :] = 0
    counts[:, rng.random(17) < 0.2] = 0
    counts[1, 1] += 1
    devkit = ConfusionMatrix(17, ignore_idx=0)
    devkit.global_cm = counts.copy()
    devkit.global_cm[0, :] = devkit.global_cm[:, 0] = 0
    np.testing.assert_allclose(iou_per_category(counts), devkit.get_per_class_iou(), rtol=0, atol=1e-12, equal_nan=True)
    assert mean_iou(counts) == pytest.approx(devkit.get_mean_iou(), abs=1e-12)
    assert frequency_weighted_iou(counts) == pytest.approx(devkit.get_freqweighted_iou(), abs=1e-12)


def test_leaves_its_argument_alone():
    counts = np.ones((3, 3), np.int64)
    iou_per_category(counts)
    assert counts.all()
