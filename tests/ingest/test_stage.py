"""The stage `ingest`: counts that add up, quarantine, refusals, idempotence, determinism."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile

import numpy as np
import pytest
from chain import VERSION

from olivine.artifacts import verify
from olivine.drives import Drives
from olivine.errors import DataError
from olivine.ingest import stage
from olivine.ingest.nuscenes import read_keyframes
from olivine.ingest.recipe import IngestRecipe
from olivine.packs import PackIndex
from olivine.store import open_store

RECIPE = IngestRecipe(version=VERSION, keyframes_per_shard=4)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def wide_root(tmp_path_factory):
    """Forty keyframes, so that two of them are 5 %: one sweep's files under many names would not do, ids must differ."""
    pytest.importorskip("embreex")
    from olivine.synth import SynthRecipe, write_drives

    root = tmp_path_factory.mktemp("wide") / "drives"
    recipe = SynthRecipe(
        seed=5,
        num_select_scenes=0,
        train_keyframes_per_scene=4,
        select_keyframes_per_scene=1,
        test_keyframes_per_scene=4,
        image_width=64,
        image_height=36,
        num_columns=24,
    )
    write_drives(root, recipe)
    return root


def edit(root, table, change):
    path = root / VERSION / f"{table}.json"
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))


def test_counts_index_and_summary(chain):
    drives = chain.made["ingest"]
    counts, summary = drives.manifest.counts, drives.manifest.summary
    reader = Drives(drives)
    keyframes = [reader.keyframe(token) for token in reader.tokens()]
    assert counts["keyframes_in"] == counts["keyframes"] + counts["quarantined"] == 11
    assert counts["points"] == sum(len(keyframe.points_N4) for keyframe in keyframes)
    assert counts["pairs"] == sum(len(keyframe.pair_point_M) for keyframe in keyframes)
    assert counts["lidarseg"] == 11
    assert summary["image_size"] == [192, 108]
    assert summary["synthetic"] is True
    assert [len(summary["scenes"][split]) for split in ("train", "select", "test")] == [8, 1, 2]
    assert drives.manifest.licences == ("Apache-2.0 (synthetic drives of olivine)",)
    assert verify(drives) == []


def test_shards_are_tar_files(chain):
    drives = chain.made["ingest"]
    index = PackIndex(drives.read("index.parquet"), "drives")
    with tarfile.open(fileobj=io.BytesIO(drives.read("shards/00003.tar"))) as archive:
        assert {name.split(".")[0] for name in archive.getnames()} == {index.column("keyframe")[3]}
        assert len(archive.getnames()) == 10
    columns = ["scene", "drive", "split", "timestamp_us", "lidar_token", "num_points", "num_pairs"]
    assert index.table.column_names[-7:] == columns


def test_again_is_the_same_artifact_without_work(own_root, store, monkeypatch):
    first = stage.run(own_root, store, RECIPE)
    written = store.traffic.written_bytes
    monkeypatch.setattr(stage, "pack_keyframe", lambda *arguments: pytest.fail("work was done again"))
    assert stage.run(own_root, store, RECIPE).manifest == first.manifest
    assert store.traffic.written_bytes == written


def test_same_bytes_in_another_store_with_other_threads(own_root, store, tmp_path, monkeypatch):
    first = stage.run(own_root, store, RECIPE)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    other = stage.run(own_root, open_store(str(tmp_path / "other")), RECIPE)
    assert (other.id, other.manifest.data_digest) == (first.id, first.manifest.data_digest)


@pytest.mark.parametrize("change", [{"min_depth_m": 2.0}, {"max_camera_lag_ms": 99.0}, {"keyframes_per_shard": 5}])
def test_another_recipe_is_another_artifact(own_root, store, change):
    first = stage.run(own_root, store, RECIPE)
    assert stage.run(own_root, store, RECIPE.model_copy(update=change)).id != first.id


def spoil(root, row):
    keyframe = read_keyframes(root, VERSION)[row]
    (root / keyframe.images[1].file).write_bytes(b"\xff\xd8 no jpeg")
    return keyframe


def test_up_to_five_percent_are_left_out_and_named(wide_root, store, tmp_path):
    import shutil

    root = shutil.copytree(wide_root, tmp_path / "wide")
    bad = [spoil(root, row) for row in (0, 17)]
    drives = stage.run(root, store, RECIPE)
    manifest = drives.manifest
    assert [item.frame for item in manifest.quarantined] == [f"{keyframe.scene}/{keyframe.token}" for keyframe in bad]
    assert all("is no whole JPEG" in item.reason for item in manifest.quarantined)
    assert (manifest.counts["keyframes_in"], manifest.counts["keyframes"], manifest.counts["quarantined"]) == (
        40,
        38,
        2,
    )
    assert manifest.counts["lidarseg"] == 38
    reader = Drives(drives)
    assert len(reader.tokens()) == 38
    assert not {keyframe.token for keyframe in bad} & set(reader.tokens())
    third = spoil(root, 20)
    with pytest.raises(DataError, match=r"ingest: 3 of 40 keyframes are bad, more than 5% may be:") as caught:
        stage.run(root, store, RECIPE)
    assert f"{third.scene}/{third.token}" in str(caught.value)
    assert str(caught.value).endswith("Repair or remove them and run again.")


def test_the_first_keyframe_may_lack_a_camera(wide_root, store, tmp_path):
    import shutil

    root = shutil.copytree(wide_root, tmp_path / "wide")
    lost = read_keyframes(root, VERSION)[0].images[0]
    edit(root, "sample_data", lambda records: records.remove(next(r for r in records if r["token"] == lost.token)))
    manifest = stage.run(root, store, RECIPE).manifest
    assert "0 records of CAM_FRONT" in manifest.quarantined[0].reason
    assert manifest.summary["image_size"] == [64, 36]


def test_repaired_frames_are_read_again_also_at_the_same_size(own_root, store):
    keyframe = read_keyframes(own_root, VERSION)[5]
    path = own_root / keyframe.lidar.file
    good = path.read_bytes()
    broken = np.frombuffer(good, np.float32).copy()
    broken[12] = np.nan
    path.write_bytes(broken.tobytes())
    with pytest.raises(DataError, match=r"1 of 11 keyframes are bad.*\n.*point 2 is not finite"):
        stage.run(own_root, store, RECIPE)
    path.write_bytes(good)
    assert stage.run(own_root, store, RECIPE).manifest.counts["quarantined"] == 0


def test_a_killed_run_goes_on_after_its_last_shard(own_root, store, tmp_path, monkeypatch):
    whole = stage.run(own_root, open_store(str(tmp_path / "whole")), RECIPE)
    packed = []

    def killed_at_the_sixth(root, keyframe, *rest):
        packed.append(keyframe.token)
        if len(packed) == 6:
            raise KeyboardInterrupt
        return pack(root, keyframe, *rest)

    pack = stage.pack_keyframe
    monkeypatch.setattr(stage, "pack_keyframe", killed_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        stage.run(own_root, store, RECIPE)
    first_shard = set(packed[:4])
    packed[:] = ["later"] * 6
    resumed = stage.run(own_root, store, RECIPE)
    assert resumed.manifest.data_digest == whole.manifest.data_digest
    assert len(packed) == 6 + 7
    assert not first_shard & set(packed)


def test_every_frame_with_the_same_bent_calibration(own_root, store):
    edit(own_root, "calibrated_sensor", lambda records: [r.update(rotation=[1.0, 1.0, 0.0, 0.0]) for r in records])
    with pytest.raises(DataError, match=r"11 of 11 keyframes are bad(.|\n)*is not a rotation(.|\n)*and 6 more"):
        stage.run(own_root, store, RECIPE)


def test_images_of_two_sizes_are_refused(own_root, store):
    def shrink(records):
        records[[record["height"] for record in records].index(108)]["width"] = 96

    edit(own_root, "sample_data", shrink)
    with pytest.raises(DataError, match=r"images of several sizes, \[\(96, 108\), \(192, 108\)\]"):
        stage.run(own_root, store, RECIPE)


def test_no_keyframes(own_root, store):
    for table in ("sample", "scene", "sample_data"):
        edit(own_root, table, lambda records: records.clear())
    (own_root / VERSION / "splits.json").unlink(missing_ok=True)
    with pytest.raises(DataError, match="has no keyframes: its sample table is empty"):
        stage.run(own_root, store, RECIPE)


def test_unknown_version_and_empty_folder(own_root, store, tmp_path):
    with pytest.raises(DataError, match=r"has no version 'v1.0-trainval'; versions present: v1.0-mini"):
        stage.run(own_root, store, IngestRecipe())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no nuScenes tables"):
        stage.run(tmp_path / "empty", store, RECIPE)
    with pytest.raises(DataError, match="is not a folder"):
        stage.run(tmp_path / "nowhere", store, RECIPE)
    assert list(store.list("ingest")) == []


def test_nothing_is_kept_of_the_raw_folder_but_its_content(chain):
    """The same drives under another path are the same artifact, so no path of this machine may be in it."""
    drives = chain.made["ingest"]
    where = str(chain.root).encode()
    assert where not in drives.manifest.to_json()
    for blob in drives.manifest.data:
        data = drives.read(blob.path)
        assert where not in data
        assert hashlib.sha256(data).hexdigest() == blob.sha256
