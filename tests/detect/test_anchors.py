"""Anchors, their targets, and boxes as offsets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from olivine.detect.anchors import (
    IGNORED,
    NO_CLASS,
    assign_targets,
    decode_boxes,
    encode_boxes,
    facing,
    make_anchors,
    nearest_iou,
)
from olivine.detect.recipe import (
    CLASSES,
    AugmentRecipe,
    ClassRecipe,
    DetectorRecipe,
    FramesRecipe,
    GridRecipe,
    MapNetworkRecipe,
    OneCycleRecipe,
)

GRID = GridRecipe(low=(0, -6.4, -3), high=(12.8, 6.4, 1), voxel_size=(0.1, 0.1, 0.16))
"""128 x 128 x 26 voxels, 16 x 16 cells of the map."""


def test_the_references_anchors():
    anchors = make_anchors(GridRecipe(), CLASSES)
    assert GridRecipe().cells == (1408, 1600, 41)
    assert anchors.shape == (176 * 200 * 6, 7)
    assert anchors[:6, 3:].tolist() == pytest.approx(
        np.array([[*item.size, yaw] for item in CLASSES for yaw in (0, math.pi / 2)]), abs=1e-6
    )
    # z is that of the centre.
    assert anchors[0].tolist() == pytest.approx([0, -40, -1, 3.9, 1.6, 1.56, 0])
    assert anchors[-1].tolist() == pytest.approx([70.4, 40, 0.265, 1.76, 0.6, 1.73, math.pi / 2])
    # x runs before y.
    assert anchors[6, :2].tolist() == pytest.approx([70.4 / 175, -40])


boxes = st.tuples(
    *(st.floats(low, high) for low, high in ((-5, 70), (-40, 40), (-3, 1), (0.3, 6), (0.3, 3), (0.5, 3), (-7, 7)))
)


@given(boxes, boxes)
def test_decoding_is_the_inverse_of_encoding(box, anchor):
    box, anchor = (torch.tensor([values], dtype=torch.float64) for values in (box, anchor))
    back = decode_boxes(encode_boxes(box, anchor), facing(box[:, 6]), anchor)
    assert back[0, :6].tolist() == pytest.approx(box[0, :6].tolist(), abs=1e-9)
    turns = (back[0, 6] - box[0, 6]).item() / (2 * math.pi)
    assert turns == pytest.approx(round(turns), abs=1e-9)


def test_encoding_by_hand():
    anchor = torch.tensor([[1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 0.5]])
    box = torch.tensor([[2.0, 1.0, 4.0, 8.0, 3.0, 1.0, 0.7]])
    expected = [1 / 5, -1 / 5, 1 / 2, math.log(2), 0, -math.log(2), 0.2]
    assert encode_boxes(box, anchor)[0].tolist() == pytest.approx(expected)


def test_nearest_iou_by_hand():
    first = torch.tensor([[0, 0, 0, 4, 2, 1, 0.7], [0, 0, 0, 4, 2, 1, 0.9]], dtype=torch.float64)
    second = torch.tensor([[0, 0, 9, 4, 2, 1, 0], [1, 0, 0, 4, 2, 1, math.pi]], dtype=torch.float64)
    # Below 45 degrees nothing is turned, above length and width change places: 2 x 2 of 8 + 8 - 4 are common.
    expected = [[1, 6 / 10], [4 / 12, 4 / 12]]
    assert nearest_iou(first, second).numpy() == pytest.approx(np.array(expected))


ONE = (ClassRecipe(kind="car", size=(4, 2, 1.5), bottom_m=-1.75, matched=0.6, unmatched=0.45),)


def targets(anchors, objects, kinds, classes=ONE):
    return assign_targets(torch.tensor(anchors), torch.tensor(objects).view(-1, 7), torch.tensor(kinds), classes)


def at(x, yaw=0.0):
    return [x, 0.0, -1.0, 4.0, 2.0, 1.5, yaw]


def test_targets_by_hand():
    """Along x, an anchor shifted by s of a box 4 m long has the IoU (4 - s) / (4 + s)."""
    anchors = [
        at(0.0),
        at(0.0, math.pi / 2),
        at(0.9),
        at(0.9, math.pi / 2),
        at(1.2),
        at(1.2, math.pi / 2),
        at(3.0),
        at(9.0),
    ]
    found = targets(anchors, [at(0.0)], [0])
    # 1; 4/12; 3.1/4.9 = 0.63; turned; 2.8/5.2 = 0.54; turned; 1/7; 0.
    assert found.kind_A.tolist() == [0, NO_CLASS, 0, NO_CLASS, IGNORED, NO_CLASS, NO_CLASS, NO_CLASS]
    assert found.offsets_A7[2].tolist() == pytest.approx([-0.9 / math.sqrt(20), 0, 0, 0, 0, 0, 0])
    assert (found.offsets_A7[found.kind_A < 0] == 0).all()


def test_every_object_has_an_anchor_that_is_to_find_it():
    found = targets([at(0.0), at(0.0, math.pi / 2), at(9.0), at(9.0, math.pi / 2)], [at(2.5), at(20.0)], [0, 0])
    # 1.5 / 6.5 is far below `unmatched`, but the best there is; an object that nothing touches is nobody's.
    assert found.kind_A.tolist() == [0, NO_CLASS, NO_CLASS, NO_CLASS]


def test_directions_of_targets():
    found = targets([at(0.0), at(0.0, math.pi / 2)], [at(0.0, 0.1)], [0])
    assert found.direction_A[0] == facing(torch.tensor([0.1]))[0] == 1
    assert facing(torch.tensor([math.pi / 2, -math.pi / 2, math.pi, 0.8, 0.7, -2.3, -2.4])).tolist() == [
        0,
        1,
        0,
        0,
        1,
        1,
        0,
    ]


def test_anchors_of_a_class_look_at_its_objects_alone():
    classes = (*ONE, ONE[0].model_copy(update={"kind": "cyclist"}))
    anchors = [at(0.0), at(0.0, math.pi / 2)] * 2
    assert targets(anchors, [at(0.0)], [1], classes).kind_A.tolist() == [NO_CLASS, NO_CLASS, 1, NO_CLASS]
    assert targets(anchors, [], torch.zeros(0, dtype=torch.long).tolist(), classes).kind_A.tolist() == [NO_CLASS] * 4


@given(st.lists(boxes, min_size=1, max_size=5))
def test_targets_equal_a_slow_version(objects):
    anchors = make_anchors(GRID, CLASSES)[::6][:64].double()
    objects = torch.tensor(objects, dtype=torch.float64)
    objects[:, 0], objects[:, 1] = objects[:, 0].clamp(0, 3), objects[:, 1].clamp(-7, -4)
    both = torch.stack([anchors, anchors + torch.tensor([0, 0, 0, 0, 0, 0, math.pi / 2])], 1).flatten(0, 1)
    found = assign_targets(both, objects, torch.zeros(len(objects), dtype=torch.long), ONE)
    iou = nearest_iou(both, objects)
    for row in range(len(both)):
        is_best = any(iou[row, g] == iou[:, g].max() and iou[row, g] > 0 for g in range(len(objects)))
        best = iou[row].max()
        expected = 0 if is_best or best >= 0.6 else IGNORED if best >= 0.45 else NO_CLASS
        assert found.kind_A[row] == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridRecipe(high=(70.0, 40, 1)), "multiples of 16 along x and y"),
        (lambda: GridRecipe(high=(70.4, 40, -1)), "25 along z"),
        (lambda: GridRecipe(voxel_size=(0, 0.1, 0.1)), "voxel_size must be above zero"),
        (
            lambda: ClassRecipe(kind="car", size=(1, 1, 1), bottom_m=0, matched=0.3, unmatched=0.4),
            "may not be above matched",
        ),
        (lambda: DetectorRecipe(classes=ONE * 2), "classes name one twice: car, car"),
        (lambda: DetectorRecipe(widths=(16, 0, 64, 64, 128)), r"widths\.1\n.*greater than or equal to 1"),
        (lambda: FramesRecipe(splits=("train", "train")), "splits name one twice: train, train"),
        (lambda: FramesRecipe(image_size=(1242, 0)), r"image_size\.1\n.*greater than or equal to 1"),
        (lambda: FramesRecipe(image_size=(-1, 375)), r"image_size\.0\n"),
        (lambda: MapNetworkRecipe(layers=(-1, 5)), r"layers\.0\n.*greater than or equal to 0"),
        (lambda: MapNetworkRecipe(layers=(5, -1)), r"layers\.1\n"),
        (lambda: MapNetworkRecipe(widths=(0, 8)), r"widths\.0\n"),
        (lambda: MapNetworkRecipe(widths=(8, 0)), r"widths\.1\n"),
        (lambda: MapNetworkRecipe(up_widths=(0, 8)), r"up_widths\.0\n"),
        (lambda: AugmentRecipe(scale=(1.05, 0.95)), "scale is 1.05 to 0.95: give the least factor, above zero, then"),
        (lambda: AugmentRecipe(scale=(0, 1)), "scale is 0 to 1"),
        (lambda: OneCycleRecipe(momentum=(0.95, 1)), r"momentum\.1\n.*less than 1"),
        (lambda: OneCycleRecipe(momentum=(-0.1, 0.85)), r"momentum\.0\n"),
    ],
)
def test_recipes_that_make_no_sense(make, message):
    with pytest.raises(ValidationError, match=message):
        make()
