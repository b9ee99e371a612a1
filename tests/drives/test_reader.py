"""The drives as their readers see them, against the raw files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from chain import VERSION

from olivine.drives import CAMERAS, Drives
from olivine.errors import DataError
from olivine.ingest.recipe import IngestRecipe
from olivine.ingest.stage import run
from olivine.nuscenes_categories import RAW_TO_CATEGORY
from olivine.store import open_store


def test_splits_are_disjoint_and_in_table_order(chain):
    drives = chain.drives
    train, select, test = (drives.tokens(split) for split in ("train", "select", "test"))
    assert [len(part) for part in (train, select, test)] == [8, 1, 2]
    assert drives.tokens("all_train") == train + select
    assert drives.tokens() == train + select + test
    assert [drives.split(token) for token in (train[0], select[0], test[1])] == ["train", "select", "test"]
    scenes = [scene["name"] for scene in json.loads((chain.root / VERSION / "scene.json").read_text())]
    assert list(drives.column("scene").values()) == scenes


def test_arrays_and_images_are_those_of_the_files(chain):
    drives = chain.drives
    token = drives.tokens()[2]
    meta, keyframe = drives.meta(token), drives.keyframe(token)
    raw_N5 = np.fromfile(chain.root / meta["lidar"]["file"], np.float32).reshape(-1, 5)
    assert np.array_equal(keyframe.points_N4, raw_N5[:, :4])
    assert (keyframe.pair_point_M.dtype, keyframe.pair_pixel_M3.dtype) == (np.int32, np.int16)
    assert keyframe.pair_point_M.max() < len(raw_N5)
    assert [camera["name"] for camera in meta["cameras"]] == list(CAMERAS)
    for jpeg, camera in zip(drives.images(token), meta["cameras"], strict=True):
        assert jpeg == (chain.root / camera["file"]).read_bytes()
    together, jpegs = drives.keyframe_and_images(token)
    assert jpegs == drives.images(token)
    for name in ("points_N4", "pair_point_M", "pair_pixel_M3"):
        assert np.array_equal(getattr(together, name), getattr(keyframe, name))
    assert drives.image_size == (192, 108)
    labels = json.loads((chain.root / VERSION / "lidarseg.json").read_text())
    file = next(row["filename"] for row in labels if row["sample_data_token"] == meta["lidar"]["token"])
    raw_N = np.fromfile(chain.root / file, np.uint8)
    assert np.array_equal(drives.lidarseg(token), RAW_TO_CATEGORY[raw_N])


def test_reading_a_keyframe_reads_no_label(chain):
    drives = Drives(chain.made["ingest"])
    before = dict(drives.artifact.store.traffic.reads)
    drives.keyframe(drives.tokens()[0])
    drives.images(drives.tokens()[0])
    drives.keyframe_and_images(drives.tokens()[0])
    keys = {blob.key for blob in drives.artifact.manifest.data if "lidarseg" in blob.path or "simulation" in blob.path}
    after = drives.artifact.store.traffic.reads
    assert not [key for key in keys if after[key] != before.get(key, 0)]


def test_drives_without_labels_say_so(own_root, tmp_path):
    (own_root / VERSION / "lidarseg.json").unlink()
    (own_root / "synth_truth").rename(tmp_path / "elsewhere")
    drives = Drives(run(own_root, open_store(str(tmp_path / "store")), IngestRecipe(version=VERSION)))
    token = drives.tokens()[0]
    assert not drives.has_lidarseg()
    with pytest.raises(DataError, match=r"has no hand labels: the data set came without"):
        drives.lidarseg(token)
    with pytest.raises(DataError, match=r"hold no simulator renderings: they were ingested without"):
        drives.simulation(token)


def test_one_keyframe_without_labels_is_named(own_root, tmp_path):
    table = own_root / VERSION / "lidarseg.json"
    table.write_text(json.dumps(json.loads(table.read_text())[1:]))
    drives = Drives(run(own_root, open_store(str(tmp_path / "store")), IngestRecipe(version=VERSION)))
    assert drives.artifact.manifest.counts["lidarseg"] == 10
    without = [token for token in drives.tokens() if not drives.has_lidarseg(token)]
    assert len(without) == 1
    with pytest.raises(DataError, match=f"keyframe {without[0]} of drives .* has no hand labels"):
        drives.lidarseg(without[0])
