"""Data sets of scans as drives: which scan is in which split, what is packed, and everything that can be wrong."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scan_files import write_list, write_scan, write_sequences

from olivine.artifacts import verify
from olivine.artifacts.withdrawn import withdraw
from olivine.datasets import Scan, find_scans, known_tables, load_table, read_labels, read_points
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.finetune.fraction import labelled_keyframes, left_out_of
from olivine.finetune.recipe import FinetuneRecipe
from olivine.ingest.recipe import IngestRecipe
from olivine.ingest.scan_set import ScanFrame, find_frames
from olivine.ingest.stage import run
from olivine.label.recipe import LabelRecipe
from olivine.label.stage import run as label
from olivine.store import open_store

KITTI = load_table("semantickitti")
RECIPE = IngestRecipe(dataset="semantickitti", keyframes_per_shard=8)


@pytest.fixture(scope="module")
def scans_root(tmp_path_factory):
    """Two scans in each of the eleven sequences that have labels."""
    root = tmp_path_factory.mktemp("scans") / "kitti"
    write_sequences(root, KITTI, num_scans=2)
    return root


@pytest.fixture
def root(scans_root, tmp_path):
    return shutil.copytree(scans_root, tmp_path / "kitti")


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


def label_file(root, sequence, frame):
    return root / f"sequences/{sequence}/labels/{frame}.label"


def test_keyframes_are_the_scans_in_their_order(scans_root, store):
    drives = run(scans_root, store, RECIPE)
    reader = Drives(drives)
    names = reader.column("lidar_token")
    expected = [f"{number:02d}/{frame:06d}" for number in range(11) for frame in range(2)]
    assert [names[token] for token in reader.tokens()] == expected
    assert [names[token] for token in reader.tokens("select")] == ["07/000000", "07/000001"]
    assert [names[token] for token in reader.tokens("test")] == ["08/000000", "08/000001"]
    assert [names[token] for token in reader.tokens("all_train")] == [name for name in expected if name[:2] != "08"]
    for scan in find_scans(KITTI, scans_root, "train"):
        (token,) = [token for token, name in names.items() if name == f"{scan.sequence}/{scan.frame}"]
        assert np.array_equal(reader.keyframe(token).points_N4, read_points(KITTI, scan))
        assert np.array_equal(reader.lidarseg(token), read_labels(KITTI, scan.labels))
        int(token[:8], 16)
        assert token.endswith(f"-{scan.sequence}-{scan.frame}")
    assert len(set(reader.tokens())) == 22
    assert verify(drives) == []


def test_what_the_manifest_states(scans_root, store):
    manifest = run(scans_root, store, RECIPE).manifest
    assert manifest.counts == {
        **{"keyframes_in": 22, "keyframes": 22, "quarantined": 0, "points": 22 * 60, "pairs": 0, "lidarseg": 22}
    }
    summary = manifest.summary
    assert summary["class_names"] == KITTI.class_names
    assert summary["class_colours"][0] == [100, 150, 245], "car, as the data set shows it"
    assert (summary["intensity_max"], summary["image_size"], summary["synthetic"]) == (1.0, None, False)
    assert summary["scenes"]["test"] == ["08"]
    assert summary["drives"][0] == "semantickitti-00"
    assert manifest.licences == (KITTI.licence,)
    assert "version" not in manifest.recipe
    reader = Drives(run(scans_root, store, RECIPE))
    assert (reader.num_ids, reader.table) == (20, KITTI)


@pytest.mark.parametrize("name", known_tables())
def test_every_table_is_read(tmp_path, store, name):
    table = load_table(name)
    splits = [split for split in ("train", "val") if split in table.splits]
    for split in splits:
        for sequence in table.sequences.get(split, ("00000",)):
            frame = "000001" if split == "train" else "000002"
            write_scan(tmp_path, table, split, sequence, frame, [table.classes[-1].raw_ids[0], table.ignored[0]])
        if split in table.lists:
            write_list(tmp_path, table, split, [("00000", frame)])
    recipe = IngestRecipe(dataset=name)
    if splits == ["train"]:
        with pytest.raises(UsageError, match=f"{name} has no split 'val'"):
            run(tmp_path, store, recipe)
        own = {"train": list(table.sequences["train"][1:]), "select": [], "test": [table.sequences["train"][0]]}
        (tmp_path / "splits.json").write_text(json.dumps(own))
    drives = Drives(run(tmp_path, store, recipe))
    assert {drives.split(token) for token in drives.tokens()} >= {"train", "test"}
    assert drives.lidarseg(drives.tokens("test")[0]).tolist() == [len(table.classes), 0]
    assert drives.artifact.manifest.summary["traps"] == [table.traps[split] for split in splits if split in table.traps]


def test_nothing_is_scored_against_scribbles(tmp_path, store):
    table, recipe = load_table("scribblekitti"), IngestRecipe(dataset="scribblekitti")
    write_sequences(tmp_path, table, num_scans=1)
    full = tmp_path / "sequences/07/labels/000000.label"
    assert not full.parent.exists()
    manifest = run(tmp_path, store, recipe).manifest
    assert manifest.counts["lidarseg"] == 11
    assert (manifest.summary["scenes"]["select"], "07" in manifest.summary["scenes"]["train"]) == ([], True)
    assert "no sequence is held back as `select`" in manifest.summary["traps"][0]
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["00"], "select": ["07"], "test": ["08"]}))
    with pytest.raises(DataError, match=r"splits\.json: 07 cannot be select: the labels of train of scribblekitti \("):
        run(tmp_path, store, recipe)
    (tmp_path / "splits.json").write_text(json.dumps({"train": [], "select": [], "test": ["07"]}))
    full.parent.mkdir()
    np.full(60, 40, np.uint32).tofile(full)
    drives = Drives(run(tmp_path, store, recipe))
    assert set(drives.lidarseg(drives.tokens("test")[0]).tolist()) == {table.class_names.index("road") + 1}


def test_a_table_may_not_hold_back_other_labels_either(tmp_path, store):
    table = load_table("scribblekitti")
    write_sequences(tmp_path, table, num_scans=1)
    (tmp_path / "own.json").write_text(table.model_copy(update={"select": ("07",)}).model_dump_json())
    with pytest.raises(DataError, match="scribblekitti: 07 cannot be select"):
        run(tmp_path, store, IngestRecipe(dataset=str(tmp_path / "own.json")))


def test_a_split_file_decides(root, store):
    splits = {"train": ["00", "03"], "select": ["01"], "test": ["02"]}
    (root / "splits.json").write_text(json.dumps(splits))
    drives = run(root, store, RECIPE)
    assert drives.manifest.summary["scenes"] == splits
    assert drives.manifest.counts["keyframes"] == 8
    (root / "splits.json").write_text(json.dumps(splits | {"select": ["04"]}))
    assert run(root, store, RECIPE).id != drives.id


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        ({"train": ["00", "31"], "select": [], "test": ["08"]}, r"splits\.json: sequence '31' of train is not in"),
        ({"train": ["00"], "select": [], "test": ["../08"]}, r"sequence '\.\./08' of test is not in"),
        ({"train": ["00"], "select": ["00"], "test": ["08"]}, r"sequence '00' is listed twice"),
        ({"train": [], "select": [], "test": []}, "names no sequence"),
        ({"train": ["00"], "test": ["08"]}, "must hold exactly train, select and test"),
    ],
)
def test_split_files_that_are_refused(root, store, splits, reason):
    # What `../08` would lead to is there.
    shutil.copytree(root / "sequences/08", root / "08")
    (root / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(DataError, match=reason):
        run(root, store, RECIPE)


def test_a_missing_sequence_is_not_passed_over(root, store):
    shutil.rmtree(root / "sequences/09")
    with pytest.raises(DataError, match="velodyne is missing: sequence 09 of the split 'train' of semantickitti"):
        run(root, store, RECIPE)


def test_a_bad_scan_is_left_out_with_its_reason(root, store):
    np.array([7, 40, 7, 300, *[10] * 56], np.uint32).tofile(label_file(root, "03", "000001"))
    manifest = run(root, store, RECIPE).manifest
    ((frame, reason),) = [(item.frame, item.reason) for item in manifest.quarantined]
    assert frame == "03/000001"
    assert "raw ids that semantickitti does not list: 7 (2 points), 300 (1 points)" in reason
    assert (manifest.counts["keyframes"], manifest.counts["lidarseg"]) == (21, 21)
    note = left_out_of(manifest, "train") or ""
    assert note.startswith("The label fraction is counted without 1 bad keyframe of train (first: 03/000001): it may")


@pytest.mark.parametrize(("sequence", "counts"), [("07", {"all_train"}), ("08", set())])
def test_a_bad_scan_of_another_split_does_not_shift_the_fraction(root, store, sequence, counts):
    assert left_out_of(run(root, store, RECIPE).manifest, "all_train") is None
    label_file(root, sequence, "000001").unlink()
    manifest = run(root, store, RECIPE).manifest
    assert len(manifest.quarantined) == 1
    assert {splits for splits in ("train", "all_train") if left_out_of(manifest, splits)} == counts


def test_ids_that_the_table_ignores_are_ignored(root, store):
    np.array([99, 52, 0, *[10] * 57], np.uint32).tofile(label_file(root, "03", "000001"))
    drives = Drives(run(root, store, RECIPE))
    (token,) = [token for token, name in drives.column("lidar_token").items() if name == "03/000001"]
    assert drives.lidarseg(token)[:4].tolist() == [0, 0, 0, 1]


def test_too_many_bad_scans_fail(root, store):
    np.array([10] * 59, np.uint32).tofile(label_file(root, "00", "000000"))
    label_file(root, "08", "000001").unlink()
    with pytest.raises(DataError, match="2 of 22 keyframes are bad") as caught:
        run(root, store, RECIPE)
    assert "has 59 labels for a scan of 60 points: take the file of this scan" in str(caught.value)
    assert "08/000001: " in str(caught.value)
    assert "000001.label cannot be read" in str(caught.value)


def test_a_sequence_without_labels_can_be_predicted(root, store):
    shutil.rmtree(root / "sequences/08/labels")
    drives = run(root, store, RECIPE)
    reader = Drives(drives)
    assert (drives.manifest.counts["lidarseg"], len(reader.tokens("test"))) == (20, 2)
    with pytest.raises(DataError, match="has no hand labels"):
        reader.lidarseg(reader.tokens("test")[0])


def test_train_sequences_without_labels_are_named_before_training(root, store):
    shutil.rmtree(root / "sequences/03/labels")
    reader = Drives(run(root, store, RECIPE))
    recipe = FinetuneRecipe(every_nth=2, fraction_unit="scan")
    message = r"1 of 10 keyframes of the labelled fraction of drives \w+ have no hand labels, in: 03 \(1\)\. Add"
    with pytest.raises(DataError, match=message):
        labelled_keyframes(reader, recipe)
    assert len(labelled_keyframes(reader, recipe.model_copy(update={"every_nth": 10}))) == 2


def test_the_same_again_is_found_and_another_table_is_not(root, store, tmp_path, monkeypatch):
    first = run(root, store, RECIPE)
    with monkeypatch.context() as patch:
        patch.setattr("olivine.ingest.stage.pack_scan", lambda *given: pytest.fail("work was done again"))
        assert run(root, store, RECIPE).manifest == first.manifest
    own = KITTI.model_dump(mode="json")
    own["ignored"].append(7)
    (tmp_path / "own.json").write_text(json.dumps(own))
    assert run(root, store, RECIPE.model_copy(update={"dataset": str(tmp_path / "own.json")})).id != first.id


def test_corrected_labels_are_taken_though_their_files_have_the_same_size(root, store):
    first = run(root, store, RECIPE)
    path = label_file(root, "03", "000001")
    path.write_bytes(np.full(60, 40, np.uint32).tobytes())
    drives = Drives(run(root, store, RECIPE))
    assert drives.artifact.id != first.id
    (token,) = [token for token, name in drives.column("lidar_token").items() if name == "03/000001"]
    assert set(drives.lidarseg(token).tolist()) == {KITTI.class_names.index("road") + 1}


def test_the_same_scans_elsewhere_are_the_same_drives(root, store, tmp_path):
    first = run(root, store, RECIPE)
    copied = shutil.copytree(root, tmp_path / "copied", copy_function=shutil.copyfile)
    assert run(copied, store, RECIPE).manifest == first.manifest


def test_withdrawn_sequences_are_left_out(root, store):
    withdraw(store, "semantickitti-00", "a face is seen")
    manifest = run(root, store, RECIPE).manifest
    without = "The label fraction is counted without what the withdrawn drives semantickitti-00 held: it may hold other"
    assert (left_out_of(manifest, "train") or "").startswith(without)
    assert manifest.recipe["withdrawn"] == ["semantickitti-00"]
    assert manifest.summary["scenes"]["train"][0] == "01"


def test_what_needs_cameras_or_rings_says_so(scans_root, store):
    drives = run(scans_root, store, RECIPE)
    with pytest.raises(DataError, match="have no cameras: they are scans of semantickitti"):
        label(drives, LabelRecipe(labeler="truth"))
    reader = Drives(drives)
    for ask in (lambda: reader.image_size, lambda: reader.images(reader.tokens()[0])):
        with pytest.raises(DataError, match="have no cameras"):
            ask()
    with pytest.raises(DataError, match="has no rings"):
        reader.sweep(reader.tokens()[0])


def test_names_that_are_alike_have_tokens_of_their_own(root):
    frames = find_frames(KITTI, root)
    assert len({frame.token for frame in frames}) == len(frames)
    assert all(len(frame.token) <= 64 for frame in frames)


@pytest.mark.parametrize("length", [48, 49, 60, 200])
def test_tokens_of_long_names_tell_their_frames(length):
    scans = [Scan("s" * length, f"{frame:06d}", Path(), Path()) for frame in (1, 2)]
    first, second = (ScanFrame(scan, "train", "drive", None).token for scan in scans)
    assert (len(first), first[-7:], second[-7:]) == (64, "-000001", "-000002")
    if length > 48:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{16}-s{31}-000001", first)
        assert first[9:25] != second[9:25]


def test_the_command_and_what_to_know_of_a_split(olivine, tmp_path):
    table = load_table("semanticposs")
    write_sequences(tmp_path / "poss", table, num_scans=1)
    call = ["ingest", "--drives", tmp_path / "poss", "--store", tmp_path / "store"]
    code, out, err = olivine(*call, "--set", "ingest.dataset=semanticposs")
    assert code == 0
    assert out.startswith("drives ")
    assert "note: Configurations in use score sequence 03" in err
    code, _, err = olivine(*call, "--set", "ingest.dataset=nope")
    assert code == 64
    assert "'nope' is no data set: give one of daps3d" in err
