from __future__ import annotations

import json

import numpy as np
import pytest

from olivine.errors import UsageError
from olivine.label.class_list import load_class_list
from olivine.nuscenes_categories import CATEGORY_NAMES


@pytest.mark.parametrize(
    ("name", "count"), [("grounded_sam", 13), ("seem", 17), ("nuscenes16", 16), ("semantickitti19", 19)]
)
def test_the_lists_that_come_with_it(name, count):
    classes = load_class_list(name)
    assert (classes.name, len(classes.classes), classes.ignore_id) == (name, count, 255)
    table = classes.from_nuscenes()
    assert (table.dtype, table.shape) == (np.uint8, (256,))
    for item in classes.classes:
        assert np.flatnonzero(table == item.id).tolist() == sorted(CATEGORY_NAMES.index(n) + 1 for n in item.nuscenes)
    assert (table[[0, *range(17, 256)]] == 255).all()


def test_the_sixteen_categories_are_themselves():
    assert load_class_list("nuscenes16").from_nuscenes()[1:17].tolist() == list(range(16))


def own(tmp_path, **changes):
    content = {"name": "own", "source": "a test", "classes": [{"id": 0, "name": "vehicle", "nuscenes": ["car", "bus"]}]}
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content | changes))
    return str(path)


def test_a_list_of_ones_own(tmp_path):
    assert load_class_list(own(tmp_path)).from_nuscenes()[[3, 4, 5]].tolist() == [0, 0, 255]


def one(name, prompts, id=0):
    return {"id": id, "name": name, "nuscenes": [], "prompts": prompts}


def test_prompts_are_synonyms_of_their_class(tmp_path):
    classes = load_class_list(own(tmp_path, classes=[one("person", ["pedestrian", "person"]), one("car", ["car"], 1)]))
    assert classes.prompts == {"pedestrian": 0, "person": 0, "car": 1}


def test_every_class_of_the_lists_is_asked_for_but_background():
    for name in ("grounded_sam", "seem", "nuscenes16", "semantickitti19"):
        classes = load_class_list(name)
        asked = set(classes.prompts.values())
        assert [item.name for item in classes.classes if item.id not in asked] == ["background"] * (name == "seem")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [{"id": 1, "name": "a", "nuscenes": []}]}, "ids must be 0, 1, 2"),
        ({"classes": [{"id": 0, "name": "a", "nuscenes": ["tank"]}]}, "unknown or doubled"),
        ({"classes": [{"id": 0, "name": "a", "nuscenes": ["car", "car"]}]}, "unknown or doubled"),
        ({"ignore_id": 0}, "should be 255"),
        ({"classes": [one("a", ["car"]), one("b", ["car"], 1)]}, "each prompt may stand once.*'car'"),
        ({"classes": [one("a", ["car", "car"])]}, "each prompt may stand once.*'car'"),
        ({"classes": [one("a", ["Car"])]}, "unlike 'Car'"),
        ({"classes": [one("a", ["car . bus"])]}, "unlike 'car . bus'"),
        ({"classes": [one("a", [""])]}, "unlike ''"),
        ({"more": 1}, "not permitted"),
    ],
)
def test_what_is_wrong_with_it_is_said(tmp_path, changes, message):
    with pytest.raises(UsageError, match=rf"own.json: not a class list: .*{message}"):
        load_class_list(own(tmp_path, **changes))


@pytest.mark.parametrize("name", ["nothing", "no/such/list.json", "/", ""])
def test_no_such_list(name):
    with pytest.raises(
        UsageError, match="no class list: give one of grounded_sam, grounded_sam_reference, nuscenes16, seem"
    ):
        load_class_list(name)
