"""Label fractions: every N-th scene of the table, counting from one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from olivine.errors import DataError, UsageError
from olivine.finetune.fraction import labelled_keyframes
from olivine.finetune.recipe import FinetuneRecipe
from olivine.ingest.splits import assign_splits


@dataclass
class Listed:
    """What the rule needs of drives: keyframes with a scene and a split, in the order of the table."""

    rows: list[tuple[str, str, str]]

    def tokens(self, split):
        wanted = {"train", "select"} if split == "all_train" else {split}
        return [token for token, _, where in self.rows if where in wanted]

    def column(self, name):
        return {token: scene for token, scene, _ in self.rows}

    def has_lidarseg(self, token=None):
        return True


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The 850 official scenes of trainval in the order of their names, two keyframes each."""
    import json
    from importlib import resources

    lists = json.loads(resources.files("olivine.ingest").joinpath("nuscenes_scenes.json").read_text())
    names = sorted(lists["train"] + lists["val"])
    splits = assign_splits(names, "v1.0-trainval", tmp_path_factory.mktemp("none"))
    return Listed([(f"{name}/{number}", name, splits[name]) for name in names for number in range(2)])


@pytest.mark.parametrize(("every_nth", "scenes"), [(100, 7), (20, 35), (10, 70), (4, 175), (1, 700)])
def test_the_papers_fractions_of_the_official_train_list(official, every_nth, scenes):
    tokens = labelled_keyframes(official, FinetuneRecipe(every_nth=every_nth))
    assert len(tokens) == 2 * scenes
    train = list(dict.fromkeys(scene for _, scene, split in official.rows if split != "test"))
    counted = [scene for count, scene in enumerate(train, start=1) if count % every_nth == 0]
    assert list(dict.fromkeys(token.split("/")[0] for token in tokens)) == counted


def test_without_select_and_by_keyframe(official):
    recipe = FinetuneRecipe(every_nth=100, splits="train")
    assert len(labelled_keyframes(official, recipe)) == 2 * 6
    recipe = FinetuneRecipe(every_nth=3, splits="train", fraction_unit="keyframe")
    tokens = official.tokens("train")
    assert labelled_keyframes(official, recipe) == tokens[2::3]


@pytest.mark.parametrize(("every_nth", "scans"), [(100, 192), (20, 957), (10, 1913), (5, 3826), (1, 19_130)])
def test_the_papers_fractions_of_semantickitti(every_nth, scans):
    """Scans per sequence as the benchmark has them; 07 is held back by `select`, and the paper's protocol counts it."""
    lengths = {"00": 4541, "01": 1101, "02": 4661, "03": 801, "04": 271, "05": 2761, "06": 1101, "07": 1101}
    rows = [
        (f"{name}/{frame:06d}", name, "select" if name == "07" else "test" if name == "08" else "train")
        for name, length in (lengths | {"08": 4071, "09": 1591, "10": 1201}).items()
        for frame in range(length)
    ]
    tokens = labelled_keyframes(Listed(rows), FinetuneRecipe(every_nth=every_nth, fraction_unit="scan"))
    assert len(tokens) == scans
    assert tokens[:2] == ["00/000000", f"00/{every_nth:06d}"]
    assert not any(token.startswith("08/") for token in tokens)


def test_a_fraction_of_less_than_a_scan_is_an_error(chain):
    recipe = FinetuneRecipe(every_nth=9, splits="train", fraction_unit="scan")
    with pytest.raises(UsageError, match=r"every_nth 9 keeps none of 8 scans of train: give at most 8\.$"):
        labelled_keyframes(chain.drives, recipe)
    assert len(labelled_keyframes(chain.drives, recipe.model_copy(update={"every_nth": 8}))) == 1


def test_a_split_without_keyframes(chain, monkeypatch):
    drives = chain.drives
    monkeypatch.setattr(drives, "tokens", lambda split: [])
    with pytest.raises(UsageError, match="have no keyframe in the split 'train'"):
        labelled_keyframes(drives, FinetuneRecipe(every_nth=1, splits="train"))


def test_an_empty_fraction_is_an_error(chain):
    for unit in ("scene", "keyframe"):
        recipe = FinetuneRecipe(every_nth=9, splits="train", fraction_unit=unit)
        with pytest.raises(UsageError, match=f"every_nth 9 keeps none of 8 {unit}s of train: give at most 8"):
            labelled_keyframes(chain.drives, recipe)


def test_drives_without_labels(chain, monkeypatch):
    drives = chain.drives
    monkeypatch.setattr(drives, "has_lidarseg", lambda token=None: False)
    with pytest.raises(DataError, match="have no hand labels: fine-tuning needs lidarseg files"):
        labelled_keyframes(drives, FinetuneRecipe(every_nth=1))


def test_the_curve_is_not_drawn_over_labelled_scenes():
    FinetuneRecipe(curve_points=2, splits="train")
    with pytest.raises(ValidationError, match="curve_points needs splits=train"):
        FinetuneRecipe(curve_points=2)
