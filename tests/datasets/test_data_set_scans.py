"""Reading scans by table: synthetic files of every layout, the real scan, and everything that can be wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scan_files import write_list, write_scan

from olivine.datasets import every_nth, find_scans, known_tables, load_table, read_labels, read_points, read_raw_labels
from olivine.datasets.check import check_split
from olivine.errors import DataError, UsageError

KITTI = load_table("semantickitti")


@pytest.mark.parametrize("name", known_tables())
def test_every_layout_is_found_and_read(tmp_path, name):
    table = load_table(name)
    for split in table.splits:
        root = tmp_path / split
        names = table.sequences.get(split) or ("00000", "00004")
        raw = [table.classes[-1].raw_ids[-1], table.ignored[-1], table.classes[0].raw_ids[0]]
        for sequence in names:
            for frame in ("000002", "000010"):
                write_scan(root, table, split, sequence, frame, raw)
        if split in table.lists:
            write_list(root, table, split, [(name, frame) for name in names for frame in ("000010", "000002")])
        scans = find_scans(table, root, split)
        assert [(scan.sequence, scan.frame) for scan in scans] == [
            (sequence, frame) for sequence in sorted(names) for frame in ("000002", "000010")
        ]
        points_N4 = read_points(table, scans[0])
        expected = np.random.default_rng(2).normal(size=(3, table.layout.values_per_point)).astype(np.float32)
        assert np.array_equal(points_N4, expected[:, :4])
        assert read_labels(table, scans[0].labels, 3).tolist() == [len(table.classes), 0, 1]


def test_other_files_are_no_scans(tmp_path):
    write_scan(tmp_path, KITTI, "val", "08", "000000", [10])
    for name in ("readme.txt", ".000001.bin", "000003.bin.part"):
        (tmp_path / "sequences/08/velodyne" / name).write_text("")
    assert [scan.frame for scan in find_scans(KITTI, tmp_path, "val")] == ["000000"]


def test_fractions_begin_with_the_first_scan(tmp_path):
    for frame in range(21):
        write_scan(tmp_path, KITTI, "val", "08", f"{frame:06d}", [10])
    scans = find_scans(KITTI, tmp_path, "val")
    assert [scan.frame for scan in every_nth(scans, 10)] == ["000000", "000010", "000020"]
    assert every_nth(scans, 1) == scans
    # The paper's 1 % of the 19 130 train scans is 192.
    assert len(every_nth(scans[:1] * 19_130, 100)) == 192
    with pytest.raises(UsageError, match="every 0-th scan keeps none"):
        every_nth(scans, 0)


def test_the_real_scan():
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real scan to read")
    root = Path(os.environ["OLIVINE_REAL_DATA"]) / "semantickitti"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    (scan,) = find_scans(KITTI, root, "val")
    points_N4 = read_points(KITTI, scan)
    assert points_N4.shape == (123_389, 4)
    assert 0 <= points_N4[:, 3].min() <= points_N4[:, 3].max() <= KITTI.layout.intensity_max
    class_N = read_labels(KITTI, scan.labels, len(points_N4))
    raw_N = read_raw_labels(scan.labels)
    assert {252, 254, 99} <= set(raw_N.tolist()), "moving and ignored ids occur in it"
    assert np.count_nonzero(class_N == 1) == np.count_nonzero((raw_N == 10) | (raw_N == 252))
    checked = check_split(KITTI, root, "val")
    assert sum(checked.points_by_class.values()) == len(points_N4)
    assert checked.points_by_class["ignored"] == np.count_nonzero(class_N == 0)
    assert (checked.scans, checked.problems, checked.trap) == (1, [], None)
    assert checked.greatest_intensity == points_N4[:, 3].max()


@pytest.fixture
def scan(tmp_path):
    write_scan(tmp_path, KITTI, "val", "08", "000000", [10, 40, 0])
    (found,) = find_scans(KITTI, tmp_path, "val")
    return found


def test_unknown_ids_are_named_and_counted(scan):
    np.array([7, 40, 7, 300, 10], np.uint32).tofile(scan.labels)
    with pytest.raises(DataError, match=r"raw ids that semantickitti does not list: 7 \(2 points\), 300 \(1 points\)"):
        read_labels(KITTI, scan.labels)


def test_files_that_are_unsound(scan):
    with pytest.raises(DataError, match="has 3 labels for a scan of 4 points: take the file of this scan"):
        read_labels(KITTI, scan.labels, 4)
    scan.labels.write_bytes(b"12345")
    with pytest.raises(DataError, match="5 bytes, not a multiple of 4"):
        read_labels(KITTI, scan.labels)
    scan.points.write_bytes(b"1" * 20)
    with pytest.raises(DataError, match="has 20 bytes, not a positive multiple of 16 as semantickitti has"):
        read_points(KITTI, scan)
    np.array([[0, 0, 0, 0], [0, np.nan, 0, 0]], np.float32).tofile(scan.points)
    with pytest.raises(DataError, match="point 1 is not finite"):
        read_points(KITTI, scan)
    scan.points.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_points(KITTI, scan)


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a folder"):
        find_scans(KITTI, tmp_path / "nowhere", "val")
    with pytest.raises(UsageError, match="semantickitti has no split 'select': choose one of train, val, test"):
        find_scans(KITTI, tmp_path, "select")
    with pytest.raises(DataError, match="velodyne is missing: sequence 08 of the split 'val'"):
        find_scans(KITTI, tmp_path, "val")
    (tmp_path / "sequences/08/velodyne").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no scan of the split 'val'"):
        find_scans(KITTI, tmp_path, "val")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("../../etc/passwd", r"line 2: '../../etc/passwd' is not of the form"),
        ("../os1_cloud_node_kitti_bin/000000.bin", "is not of the form"),
        ("/00000/os1_cloud_node_kitti_bin/000000.bin", "is not of the form"),
        ("00000/os1_cloud_node_kitti_bin/000009.bin", r"line 2: .*000009\.bin is missing"),
    ],
)
def test_lists_that_point_elsewhere(tmp_path, line, reason):
    table = load_table("rellis3d")
    write_scan(tmp_path, table, "val", "00000", "000000", [3])
    write_list(tmp_path, table, "val", [("00000", "000000")])
    with (tmp_path / "pt_val.lst").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=reason):
        find_scans(table, tmp_path, "val")


def test_a_check_counts_and_names_the_bad_scan(tmp_path):
    table = load_table("daps3d")
    for sequence in table.sequences["paper_val"]:
        write_scan(tmp_path, table, "paper_val", sequence, "000001", [30, 40, 40, 99])
    bad = find_scans(table, tmp_path, "paper_val")[0]
    np.array([1, 2, 3, 4], np.uint32).tofile(bad.labels)
    checked = check_split(table, tmp_path, "paper_val")
    assert checked.points_by_class == {"ignored": 2, "vehicle": 0, "human": 2, "surface": 4, "obstacle": 0}
    assert checked.scans == 3
    (problem,) = checked.problems
    assert "2 (1 points), 3 (1 points), 4 (1 points)" in problem
    assert "no evidence" in checked.trap
    for scan in find_scans(table, tmp_path, "paper_val"):
        scan.labels.unlink()
    with pytest.raises(DataError, match="none of 3 scans can be used"):
        check_split(table, tmp_path, "paper_val")


def test_the_commands(olivine, tmp_path):
    code, out, _ = olivine("datasets", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == known_tables()
    table = load_table("daps3d")
    for sequence in table.sequences["paper_val"]:
        write_scan(tmp_path, table, "paper_val", sequence, "000001", [30, 40])
    call = ["datasets", "check", "daps3d", "--root", tmp_path, "--split", "paper_val"]
    code, out, err = olivine(*call, "--json")
    assert code == 0
    assert json.loads(out)["points_by_class"]["surface"] == 3
    assert "note on paper_val: The only train sequence" in err
    find_scans(table, tmp_path, "paper_val")[0].labels.write_bytes(b"\xff" * 8)
    code, out, err = olivine(*call)
    assert code == 65
    assert "3 scans, 1 problem" in out
    assert "intensity up to " in out
    assert "65535 (2 points)" in err
