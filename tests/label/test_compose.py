"""Compositing: an order that depends on what was found alone, and thresholds that can be applied afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import UsageError
from olivine.label.class_list import load_class_list
from olivine.label.compose import box_iou, compose, eight_bit, least_scores, rank, suppress
from olivine.label.instances import Instances, encode_mask
from olivine.label.recipe import ComposeRecipe

SIZE = (6, 9)
ANY = np.zeros(256, np.float32)


def instances(items):
    """(box, score, category, mask) each."""
    boxes, scores, categories, masks = zip(*items, strict=True) if items else ((), (), (), ())
    return Instances(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(categories, np.uint8),
        np.zeros(len(items), np.float32),
        ["?"] * len(items),
        [encode_mask(mask) for mask in masks],
    )


def block(top, bottom, left, right):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def of_block(score, category, top, bottom, left, right):
    return (left, top, right, bottom), score, category, block(top, bottom, left, right)


@st.composite
def many(draw):
    """Blocks with coarse scores, so that ties are common; each with its own box, and now and then a shared one."""
    found = []
    for _ in range(draw(st.integers(0, 7))):
        top, left = draw(st.integers(0, 4)), draw(st.integers(0, 7))
        bottom, right = draw(st.integers(top + 1, 6)), draw(st.integers(left + 1, 9))
        score, category = draw(st.sampled_from([0.25, 0.5, 0.75])), draw(st.integers(0, 2))
        found.append(of_block(score, category, top, bottom, left, right))
    return found


def painted_by_hand(items):
    """What the docstring of the module says, pixel by pixel, without suppression."""
    category, confidence = np.full(SIZE, 255, np.uint8), np.zeros(SIZE, np.uint8)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            here = [item for item in items if item[3][row, column]]
            if here:
                _, score, id, _ = min(here, key=lambda item: (-item[1], item[3].sum(), item[2], item[0]))
                category[row, column], confidence[row, column] = id, round(255 * score)
    return category, confidence


@given(many())
@settings(max_examples=200)
def test_painting_is_what_its_rule_says(items):
    result = compose(instances(items), SIZE, ANY, nms_iou=1.0)
    category, confidence = painted_by_hand(items)
    assert np.array_equal(result.category_HW, category)
    assert np.array_equal(result.confidence_HW, confidence)
    assert np.array_equal(result.instance_HW == 65_535, category == 255)


@given(many(), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
@settings(max_examples=200)
def test_the_order_of_the_detector_does_not_matter(items, random, nms_iou):
    shuffled = random.sample(items, len(items))
    one, other = (compose(instances(given), SIZE, ANY, nms_iou) for given in (items, shuffled))
    assert np.array_equal(one.category_HW, other.category_HW)
    assert np.array_equal(one.confidence_HW, other.confidence_HW)
    assert np.array_equal(one.instance_HW, other.instance_HW)


@given(many(), st.sampled_from([0.3, 0.5, 0.6]), st.sampled_from([0.3, 1.0]))
def test_a_threshold_afterwards_is_the_threshold_before(items, score, nms_iou):
    """What a detector would not have kept is as if it were not there: the reason why recompose needs no model."""
    kept = [item for item in items if np.float32(item[1]) >= np.float32(score)]
    afterwards = compose(instances(items), SIZE, np.full(256, score, np.float32), nms_iou)
    before = compose(instances(kept), SIZE, ANY, nms_iou)
    assert np.array_equal(afterwards.category_HW, before.category_HW)
    assert np.array_equal(afterwards.instance_HW, before.instance_HW)


@given(many(), st.floats(0, 1))
def test_suppression_keeps_no_two_boxes_that_overlap_more_and_leaves_out_none_that_does_not(items, nms_iou):
    found = instances(items)
    ranked = rank(found)
    kept = suppress(found, ranked, nms_iou)

    def overlap(a, b):
        same = found.category_K[a] == found.category_K[b]
        return box_iou(found.box_K4[[a]], found.box_K4[b])[0] if same else 0.0

    assert all(overlap(a, b) <= nms_iou for a in kept for b in kept if a != b)
    place = {k: number for number, k in enumerate(ranked.tolist())}
    for out in set(ranked.tolist()) - set(kept):
        assert any(overlap(k, out) > nms_iou and place[k] < place[out] for k in kept)


def test_nothing_found_is_nothing_painted():
    result = compose(instances([]), SIZE, ANY, 0.7)
    assert (result.category_HW == 255).all()
    assert not result.confidence_HW.any()
    assert (result.instance_HW == 65_535).all()


def test_a_mask_without_a_pixel_paints_nothing():
    item = ((0, 0, 2, 2), 0.9, 1, np.zeros(SIZE, bool))
    assert (compose(instances([item]), SIZE, ANY, 0.7).category_HW == 255).all()


def test_suppression_is_within_a_class_alone():
    items = [of_block(0.9, 0, 0, 4, 0, 4), of_block(0.8, 0, 0, 4, 0, 4), of_block(0.7, 1, 0, 4, 0, 4)]
    found = instances(items)
    assert suppress(found, rank(found), 0.7) == [0, 2]


def test_confidence_is_never_that_of_unpainted_pixels():
    assert [eight_bit(score) for score in (0.0, 0.001, 0.25, 0.5, 1.0)] == [1, 1, 64, 128, 255]


def test_thresholds_by_class():
    classes = load_class_list("grounded_sam")
    table = least_scores(ComposeRecipe(score=0.25, score_by_class={"pedestrian": 0.4}), classes)
    assert table[classes.names.index("pedestrian")] == np.float32(0.4)
    assert (np.delete(table, classes.names.index("pedestrian")) == np.float32(0.25)).all()
    with pytest.raises(UsageError, match=r"names 'tram', which is not in class list 'grounded_sam': choose among barr"):
        least_scores(ComposeRecipe(score_by_class={"tram": 0.4}), classes)


def test_intersection_over_union_of_known_boxes():
    boxes = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 4, 8, 8], [1, 1, 1, 3]], np.float32)
    assert box_iou(boxes, boxes[0]).tolist() == [1.0, 8 / 24, 0.0, 0.0]
    assert box_iou(boxes[3:], boxes[3]).tolist() == [0.0]
