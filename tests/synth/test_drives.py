"""The data set as a whole: files, determinism, what a killed run leaves, refusals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from olivine.errors import UsageError
from olivine.nuscenes_categories import CATEGORY_NAMES, RAW_TO_CATEGORY
from olivine.synth import SynthRecipe, write_drives
from olivine.synth.drives import MARKER, _remove_abandoned
from olivine.synth.recipe import MINI_TRAIN_SCENES, MINI_VAL_SCENES
from olivine.synth.rig import CAMERAS


def read_table(root, name):
    return json.loads((root / "v1.0-mini" / f"{name}.json").read_text())


def files_of(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_one_seed_gives_the_same_bytes_for_any_number_of_workers(tiny_drives, tiny_recipe, tmp_path):
    seen = []
    write_drives(tmp_path / "again", tiny_recipe, lambda done, total: seen.append((done, total)), num_workers=1)

    first, second = files_of(tiny_drives), files_of(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert seen[-1] == (13, 13)
    assert sorted(seen) == seen


def test_every_file_is_named_by_a_table_or_is_truth(tiny_drives):
    named = {
        row["filename"]
        for table in ("sample_data", "map", "lidarseg", "panoptic")
        for row in read_table(tiny_drives, table)
    }
    for row in read_table(tiny_drives, "sample_data"):
        if row["fileformat"] == "jpg":
            stem = row["filename"].replace("samples/", "synth_truth/").removesuffix(".jpg")
            named |= {f"{stem}_category.png", f"{stem}_instance.png"}
    tables = {f"v1.0-mini/{path.name}" for path in (tiny_drives / "v1.0-mini").iterdir()}

    assert set(files_of(tiny_drives)) == named | tables | {MARKER}
    assert len(tables) == 16


def test_splits_hold_every_scene_once_and_the_official_names(tiny_drives):
    splits = json.loads((tiny_drives / "v1.0-mini" / "splits.json").read_text())
    names = [scene["name"] for scene in read_table(tiny_drives, "scene")]

    assert names == splits["train"] + splits["select"] + splits["test"]
    assert len(set(names)) == len(names)
    assert splits["train"] == list(MINI_TRAIN_SCENES)
    assert splits["test"] == list(MINI_VAL_SCENES)


def test_scenes_differ_from_each_other_and_between_seeds(tiny_drives):
    images = [row["filename"] for row in read_table(tiny_drives, "sample_data") if "CAM_FRONT/" in row["filename"]]
    means = {np.array(Image.open(tiny_drives / name)).mean().round(6) for name in images}

    assert len(means) == len(images)


def test_all_sixteen_classes_occur_with_a_long_tail(tiny_drives):
    raw = np.concatenate([np.fromfile(p, np.uint8) for p in (tiny_drives / "lidarseg" / "v1.0-mini").iterdir()])
    counts = np.bincount(RAW_TO_CATEGORY[raw], minlength=17)
    share = dict(zip(CATEGORY_NAMES, counts[1:] / counts[1:].sum(), strict=True))
    print({name: f"{value:.2%}" for name, value in share.items()})

    assert raw.max() <= 31
    assert min(share.values()) > 0
    assert 0.25 < share["driveable_surface"] < 0.5
    assert 0.12 < share["manmade"] < 0.35
    assert all(0.03 < share[name] < 0.25 for name in ("vegetation", "terrain", "sidewalk", "car"))
    assert all(share[name] < 0.05 for name in ("bus", "truck", "trailer", "barrier", "other_flat"))
    assert all(share[name] < 0.01 for name in ("bicycle", "motorcycle", "pedestrian", "traffic_cone"))


def test_sweeps_obey_the_sensor(tiny_drives, tiny_recipe):
    returned = []
    for path in (tiny_drives / "samples" / "LIDAR_TOP").iterdir():
        points = np.fromfile(path, "<f4").reshape(-1, 5)
        returned.append(len(points) / (tiny_recipe.num_beams * tiny_recipe.num_columns))
        reach = np.sqrt((points[:, :3].astype(np.float64) ** 2).sum(axis=1))
        assert reach.max() <= 75.001
        assert np.abs(reach * 1000 - np.rint(reach * 1000)).max() < 0.02
        np.testing.assert_array_equal(points[:, 3], np.rint(points[:, 3]))
        assert points[:, 3].min() >= 0
        assert points[:, 3].max() <= 255
        assert set(np.unique(points[:, 4])) <= set(range(tiny_recipe.num_beams))
    assert 0.5 < np.mean(returned) < 0.96


def test_truth_images_match_the_camera_images(tiny_drives, tiny_recipe):
    for channel in CAMERAS:
        stem = next((tiny_drives / "samples" / channel).iterdir()).stem
        category = np.array(Image.open(tiny_drives / "synth_truth" / channel / f"{stem}_category.png"))
        instance = np.array(Image.open(tiny_drives / "synth_truth" / channel / f"{stem}_instance.png"))

        assert category.dtype == np.uint8
        assert category.shape == instance.shape == (tiny_recipe.image_height, tiny_recipe.image_width)
        assert set(np.unique(category)) <= {*range(1, 17), 255}
        assert (category[instance == 0] == 255).all()
        for number in np.unique(instance):
            assert len(np.unique(category[instance == number])) == 1


def test_finished_set_is_not_written_again(tiny_drives, tiny_recipe):
    before = {path: path.stat().st_mtime_ns for path in tiny_drives.rglob("*")}
    write_drives(tiny_drives, tiny_recipe)

    assert {path: path.stat().st_mtime_ns for path in tiny_drives.rglob("*")} == before


def test_other_content_is_refused(tiny_drives, tiny_recipe, tmp_path):
    with pytest.raises(UsageError, match="another recipe"):
        write_drives(tiny_drives, tiny_recipe.model_copy(update={"seed": 4}))
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="not a synthetic data set"):
        write_drives(tmp_path, tiny_recipe)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


_CHILD = """
import sys
from pathlib import Path
from olivine.synth import SynthRecipe, write_drives
if __name__ == "__main__":
    recipe = SynthRecipe.model_validate_json(sys.argv[2])
    write_drives(Path(sys.argv[1]), recipe, lambda done, total: print(done, flush=True), num_workers=2)
"""


def test_killed_run_leaves_nothing_that_passes_as_whole(tmp_path, tiny_recipe):
    script = tmp_path / "child.py"
    script.write_text(_CHILD)
    root = tmp_path / "drives"
    command = [sys.executable, str(script), str(root), tiny_recipe.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert list(tmp_path.glob(".drives.partial-*"))
        process.send_signal(signal.SIGKILL)
        # The pipe ends only when the orphaned workers, which hold its other end too, are gone.
        process.stdout.read()

    assert not root.exists()
    assert not list(tmp_path.glob(f".drives.partial-*/{MARKER}"))
    _remove_abandoned(root)
    assert not list(tmp_path.glob(".drives.partial-*"))


def test_partial_folder_of_a_living_run_is_left_alone(tmp_path):
    from olivine.synth.drives import _partial_folder

    with _partial_folder(tmp_path / "drives") as partial:
        _remove_abandoned(tmp_path / "drives")
        assert partial.exists()
    assert not partial.exists()


def test_recipe_rejects_what_it_cannot_make():
    with pytest.raises(ValueError, match="num_train_scenes"):
        SynthRecipe(num_train_scenes=7)
    with pytest.raises(ValueError, match="colour"):
        SynthRecipe(colour="red")
