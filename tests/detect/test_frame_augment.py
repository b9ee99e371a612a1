"""Frames changed for training: boxes and points stay together, objects are put where there is room."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_kitti import IMAGE_SIZE, calibration, car, label_line, shell, sweep

from olivine.detect.augment import Scene, StoredObject, augment, collect_objects, mirror, put_objects, scale, turn
from olivine.detect.frames import Frame
from olivine.detect.geometry import ground_iou, points_in_boxes
from olivine.detect.kitti import frame_boxes
from olivine.detect.recipe import CLASSES, AugmentRecipe
from olivine.metrics.kitti_boxes import parse_boxes

BOXES = [car(8, 1, 0.3), car(15, -4, 2.0), car(9, -3, 1, "Pedestrian")]
SHRUNK = np.array([1, 1, 1, 0.999, 0.999, 0.999, 1])
"""Factors on boxes that leave out the ground they stand on."""


def scene(boxes=BOXES, kinds=("car", "car", "pedestrian"), seed=0):
    return Scene(sweep(boxes, np.random.default_rng(seed)), np.array(kinds), np.array(boxes).reshape(-1, 7))


def held(given_scene):
    """Points in each box, which are those put there by `shell` when points and boxes moved together."""
    return points_in_boxes(given_scene.points_N4, given_scene.boxes_B7 * SHRUNK).sum(axis=1).tolist()


def stored(box, kind="Car", num_points=50):
    points = np.column_stack([shell(box, num_points, np.random.default_rng(1)), np.full(num_points, 0.5)])
    return StoredObject("000009", box, points.astype(np.float32))


def by_kind(**sampled):
    return tuple(item.model_copy(update={"sampled": sampled.get(item.kind, 0)}) for item in CLASSES)


@given(st.floats(-3, 3), st.floats(0.9, 1.1))
def test_points_stay_in_their_boxes(angle, factor):
    for change in (mirror, lambda it: turn(it, angle), lambda it: scale(it, factor)):
        changed = change(scene())
        assert held(changed) == held(scene()) == [300, 300, 300]
        assert changed.points_N4.dtype == np.float32
        assert (changed.points_N4[:, 3] == scene().points_N4[:, 3]).all()


def test_changes_by_hand():
    one = Scene(np.array([[1, 2, 3, 0.5]], np.float32), np.array(["car"]), np.array([[1.0, 2, 3, 4, 2, 1.5, 0.5]]))
    assert mirror(one).boxes_B7[0].tolist() == [1, -2, 3, 4, 2, 1.5, -0.5]
    turned = turn(one, math.pi / 2)
    assert turned.boxes_B7[0] == pytest.approx([-2, 1, 3, 4, 2, 1.5, 0.5 + math.pi / 2])
    assert turned.points_N4[0] == pytest.approx([-2, 1, 3, 0.5], abs=1e-6)
    assert scale(one, 2.0).boxes_B7[0].tolist() == [2, 4, 6, 8, 4, 3, 0.5]
    assert scale(one, 2.0).points_N4[0].tolist() == [2, 4, 6, 0.5]


def test_objects_are_put_where_there_is_room():
    free, hits_a_car, hits_the_first = car(25, 5, 0), car(8.5, 1, 0), car(26, 5, 0)
    database = {"car": [stored(box) for box in (free, hits_a_car, hits_the_first)]}
    for seed in range(5):
        after = put_objects(scene(), database, by_kind(car=10), np.random.default_rng(seed))
        # One of the two that hit each other, never the one that hits a car of the frame.
        assert len(after.boxes_B7) == 4
        assert after.kind_B.tolist() == ["car", "car", "pedestrian", "car"]
        assert after.boxes_B7[3].tolist() in (free.tolist(), hits_the_first.tolist())
        for row, box in enumerate(after.boxes_B7):
            others = np.delete(after.boxes_B7, row, axis=0)
            assert (ground_iou(box, others) == 0).all()
        assert held(after) == [300, 300, 300, 50]


def test_what_lay_inside_of_a_new_object_goes():
    free = car(25, 5, 0)
    before = scene()
    inside = np.array([[25, 5, -1, 0.1]], np.float32)
    before = replace(before, points_N4=np.concatenate([before.points_N4, inside]))
    after = put_objects(before, {"car": [stored(free)]}, by_kind(car=10), np.random.default_rng(0))
    assert not (after.points_N4[:, 3] == np.float32(0.1)).any()
    assert (after.points_N4[:, 3] == 0.5).sum() == 50


def test_objects_are_put_up_to_the_number_wanted():
    database = {
        "car": [stored(car(25, 4 * y, 0)) for y in range(-5, 6)],
        "pedestrian": [stored(car(30, 0, 0, "Pedestrian"))],
    }
    counts = [
        (
            put_objects(scene(), database, by_kind(car=wanted, pedestrian=1), np.random.default_rng(0)).kind_B == "car"
        ).sum()
        for wanted in (0, 2, 5, 99)
    ]
    # Two are there already.
    assert counts == [2, 2, 5, 13]
    assert put_objects(scene(), {}, CLASSES, np.random.default_rng(0)).boxes_B7.tolist() == scene().boxes_B7.tolist()


def test_the_same_generator_gives_the_same_frame():
    database = {"car": [stored(car(25, 4 * y, 0)) for y in range(-5, 6)]}
    first, again, other = (
        augment(scene(), database, CLASSES, AugmentRecipe(), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first.points_N4 == again.points_N4).all()
    assert (first.boxes_B7 == again.boxes_B7).all()
    assert first.boxes_B7.shape != other.boxes_B7.shape or not np.allclose(first.boxes_B7, other.boxes_B7)


def test_without_a_wish_nothing_changes():
    recipe = AugmentRecipe(flip=False, rotation_rad=0, scale=(1, 1))
    after = augment(scene(), {}, by_kind(), recipe, np.random.default_rng(0))
    assert after.boxes_B7 == pytest.approx(scene().boxes_B7)
    assert (after.points_N4 == scene().points_N4).all()


@pytest.mark.parametrize(("height", "is_worth_it"), [(23.99, False), (24, True), (25, True)])
def test_an_object_is_high_enough_with_its_first_and_last_row(height, is_worth_it):
    """bottom - top + 1 >= 25 pixels."""
    box = car(8, 1, 0.3)
    fields = label_line("Car", box).split()
    fields[5], fields[7] = "100.00", f"{100 + height:.2f}"
    labels = parse_boxes(" ".join(fields), "test", scored=False)
    points = sweep([box], np.random.default_rng(0))
    frame = Frame("000001", points, calibration(), IMAGE_SIZE, labels, *frame_boxes(labels, calibration()))
    assert len(collect_objects(frame, ["car"], 5)) == is_worth_it


def test_which_objects_are_worth_it():
    boxes = [car(8, 1, 0.3), car(15, -4, 2.0), car(20, 3, 0), car(35, 5, 0)]
    lines = [label_line("Car", box) for box in boxes[:2]]
    lines += [label_line("Car", boxes[2]).replace("Car 0.00 0", "Car 0.00 3"), label_line("Van", boxes[3])]
    lines.insert(1, "DontCare -1 -1 -10 500 160 590 190 -1 -1 -1 -1000 -1000 -1000 -10")
    labels = parse_boxes("\n".join(lines), "test", scored=False)
    points = sweep(boxes, np.random.default_rng(0))
    frame = Frame("000001", points, calibration(), IMAGE_SIZE, labels, *frame_boxes(labels, calibration()))
    found = collect_objects(frame, ["car", "pedestrian"], 5)
    # The third is hidden more than any difficulty allows, the last is of no class that is trained.
    assert [kind for kind, _ in found] == ["car", "car"]
    assert found[1][1].box_7 == pytest.approx(boxes[1], abs=2e-3)
    assert 200 < len(found[1][1].points_N4) <= 300
    assert collect_objects(frame, ["car"], 301) == []
