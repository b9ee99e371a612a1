"""The tables of data sets: what they say, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from olivine.datasets import known_tables, load_table
from olivine.datasets.table import UNKNOWN
from olivine.errors import UsageError

# As the papers and the authors' configurations state them.
NUM_CLASSES = {
    "semantickitti": 19,
    "scribblekitti": 19,
    "semanticposs": 13,
    "semanticstf": 19,
    "synlidar": 19,
    "rellis3d": 19,
    "daps3d": 4,
}


def test_every_data_set_of_the_paper_has_a_table():
    assert {name: len(load_table(name).classes) for name in known_tables()} == NUM_CLASSES
    assert all(load_table(name).name == name for name in known_tables())


def test_the_class_map_of_semantickitti():
    table = load_table("semantickitti")
    lookup = table.raw_to_class()
    raw_of = {
        **{1: (10, 252), 2: (11,), 3: (15,), 4: (18, 258), 5: (13, 16, 20, 256, 257, 259), 6: (30, 254), 7: (31, 253)},
        **{8: (32, 255), 9: (40, 60), 10: (44,), 11: (48,), 12: (49,), 13: (50,), 14: (51,), 15: (70,), 16: (71,)},
        **{17: (72,), 18: (80,), 19: (81,), 0: (0, 1, 52, 99)},
    }
    expected = {raw: number for number, ids in raw_of.items() for raw in ids}
    assert {int(raw): int(lookup[raw]) for raw in np.flatnonzero(lookup != UNKNOWN)} == expected
    inverse = [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
    assert table.class_to_raw().tolist() == inverse
    assert table.class_names[4] == "other-vehicle"


def test_models_are_chosen_on_train_sequences():
    held_back = {name: load_table(name).select for name in known_tables() if load_table(name).select}
    assert held_back == {"semantickitti": ("07",)}


@pytest.mark.parametrize("name", sorted(NUM_CLASSES))
def test_what_is_written_is_read_again(name):
    table = load_table(name)
    ids = np.arange(table.num_ids)
    assert np.array_equal(table.raw_to_class()[table.class_to_raw()], ids)


def shared_sequences(table, split, other):
    return set(table.sequences.get(split, ())) & set(table.sequences.get(other, ()))


def test_the_traps_of_the_paper_are_said():
    assert shared_sequences(load_table("daps3d"), "paper_val", "train") == {"38-18_7_72_90"}
    assert shared_sequences(load_table("semanticposs"), "paper_val", "paper_train") == {"00", "01"}
    for name in known_tables():
        table = load_table(name)
        assert shared_sequences(table, "val", "train") == set(), f"{name}: val and train share nothing"
        for split in table.splits:
            if split.startswith("paper_"):
                assert split.endswith("train") or "no evidence" in table.traps[split]
    assert "scribbles" in load_table("scribblekitti").traps["val"]
    assert load_table("scribblekitti").labels_pattern("train").split("/")[-2] == "scribbles"
    assert load_table("scribblekitti").labels_pattern("val").split("/")[-2] == "labels"
    assert "21" in load_table("semantickitti").sequences["test"]


BASE = json.dumps(
    {
        "name": "own",
        "source": "a test",
        "licence": "none",
        "layout": {"points": "{sequence}/p/{frame}.bin", "labels": "{sequence}/l/{frame}.label"},
        "classes": [{"name": "car", "raw_ids": [1, 2]}, {"name": "road", "raw_ids": [3]}],
        "ignored": [0],
        "sequences": {"train": ["a"]},
    }
)


def layout(**patterns):
    return {"layout": {"points": "{sequence}/p/{frame}.bin", "labels": "{sequence}/l/{frame}.label"} | patterns}


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(BASE)
    assert load_table(str(path)).class_to_raw().tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ignored": [0, 3]}, "each raw id may stand once and lies in 0..65535, unlike 3"),
        ({"ignored": [65536]}, "unlike 65536"),
        ({"ignored": [-1]}, "unlike -1"),
        ({"classes": []}, "classes: Tuple should have at least 1 item"),
        ({"classes": [{"name": "a", "raw_ids": [1]}, {"name": "a", "raw_ids": [2]}]}, "two classes have one name"),
        ({"sequences": {}}, "there must be one"),
        ({"select": ["b"]}, "select must be sequences of train"),
        ({"lists": {"train": "x.lst"}}, "a split is made of sequences or of a list"),
        ({"sequences": {"train": [".."]}}, "'..' is no name of a folder or file"),
        ({"lists": {"val": "../x"}}, "'../x' is no name"),
        ({"traps": {"vla": "x"}}, "there is no split 'vla'"),
        ({"layout": {"points": "../{sequence}/{frame}", "labels": "{sequence}/{frame}"}}, "must be a relative path"),
        ({"layout": {"points": "/{sequence}/{frame}", "labels": "{sequence}/{frame}"}}, "must be a relative path"),
        ({"layout": {"points": "x/{frame}", "labels": "{sequence}/{frame}"}}, "once each"),
        (
            layout(points="data/{sequence}_{frame}.bin"),
            "'data/{sequence}_{frame}.bin' must have {sequence} in the name",
        ),
        (layout(points="{sequence}_{frame}.bin"), "give each sequence a folder of its own"),
        (layout(labels="{frame}/{sequence}.label"), "{frame} in that of the file"),
        (layout(predictions="{sequence}{frame}.label"), "in the name of a folder"),
        (layout(labels_of_split={"train": "x/{sequence}-{frame}"}), "in the name of a folder"),
        ({"clases": []}, "clases: Extra inputs are not permitted"),
    ],
)
def test_tables_that_are_none(tmp_path, change, reason):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(json.loads(BASE) | change))
    with pytest.raises(UsageError, match=r"bad\.json is no table of a data set") as caught:
        load_table(str(path))
    assert reason in str(caught.value)


def test_a_name_that_is_not_known():
    with pytest.raises(UsageError, match="'kitti360' is no data set: give one of daps3d, rellis3d"):
        load_table("kitti360")
