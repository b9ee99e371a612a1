"""Splits against the devkit's lists, and label fractions of them against the published counts."""

from __future__ import annotations

import json
import random

import pytest

from olivine.errors import DataError
from olivine.finetune.fraction import keep_every_nth
from olivine.ingest.splits import assign_splits


@pytest.fixture
def devkit_splits():
    return pytest.importorskip("nuscenes.utils.splits")


def names(splits, split):
    return {name for name, value in splits.items() if value == split}


@pytest.fixture
def trainval(devkit_splits, tmp_path):
    scenes = devkit_splits.train + devkit_splits.val
    random.Random(0).shuffle(scenes)
    return scenes, assign_splits(scenes, "v1.0-trainval", tmp_path)


def test_official_lists_equal_the_devkit(devkit_splits, trainval, tmp_path):
    scenes, splits = trainval
    assert list(splits) == scenes
    assert names(splits, "test") == set(devkit_splits.val)
    assert names(splits, "train") | names(splits, "select") == set(devkit_splits.train)
    assert len(names(splits, "select")) == 100
    assert {"scene-0008", "scene-0461", "scene-1107"} & names(splits, "select") == {"scene-0008", "scene-1107"}
    mini = assign_splits(devkit_splits.mini_train + devkit_splits.mini_val, "v1.0-mini", tmp_path)
    assert names(mini, "test") == set(devkit_splits.mini_val)
    assert names(mini, "select") == {"scene-1094"}
    assert names(mini, "train") == set(devkit_splits.mini_train) - {"scene-1094"}
    assert names(assign_splits(devkit_splits.test, "v1.0-test", tmp_path), "test") == set(devkit_splits.test)


def test_a_part_of_a_version_is_enough(tmp_path):
    assert assign_splits(["scene-0061"], "v1.0-mini", tmp_path) == {"scene-0061": "train"}


@pytest.mark.parametrize(("every_nth", "count"), [(100, 7), (20, 35), (10, 70), (4, 175), (1, 700)])
def test_published_fractions(trainval, every_nth, count):
    scenes, splits = trainval
    official_train = [scene for scene in scenes if splits[scene] != "test"]
    kept = keep_every_nth(official_train, every_nth)
    assert len(kept) == count
    assert kept == [scene for number, scene in enumerate(official_train, start=1) if number % every_nth == 0]


def write_own(root, content):
    (root / "v1.0-own").mkdir(exist_ok=True)
    (root / "v1.0-own" / "splits.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def test_own_splits_win_over_the_official_lists(tmp_path):
    write_own(tmp_path, {"train": ["scene-0003"], "select": [], "test": ["x"]})
    assert assign_splits(["x", "scene-0003"], "v1.0-own", tmp_path) == {"x": "test", "scene-0003": "train"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ([], "must hold exactly"),
        ({"train": ["a"], "test": ["b"]}, "must hold exactly"),
        ({"train": ["a"], "select": [], "test": ["b"], "val": []}, "must hold exactly"),
        ({"train": "ab", "select": [], "test": []}, "must hold exactly"),
        ({"train": ["a"], "select": [1], "test": ["b"]}, "must hold exactly"),
        ({"train": ["a"], "select": ["a"], "test": ["b"]}, "'a' is listed twice"),
        ({"train": ["a", "a"], "select": [], "test": ["b"]}, "'a' is listed twice"),
        ({"train": ["a"], "select": ["z"], "test": ["b"]}, "'z' of select is not in the scene table"),
        ({"train": ["a"], "select": [], "test": []}, r"scene b \(and 0 more of 2\) is in no split"),
    ],
)
def test_unsound_own_splits_are_refused(tmp_path, content, reason):
    with pytest.raises(DataError, match=reason):
        assign_splits(["a", "b"], "v1.0-own", write_own(tmp_path, content))


def test_unknown_scene_or_version_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(DataError, match=r"scene-9999 .* the official v1\.0-mini: list every scene in .*splits\.json"):
        assign_splits(["scene-0061", "scene-9999"], "v1.0-mini", tmp_path)
    with pytest.raises(DataError, match=r"no split of the official v1\.0-fleet"):
        assign_splits(["scene-0061"], "v1.0-fleet", tmp_path)
