"""Synthetic scans in SemanticKITTI's layout: what its table, its evaluator and the sensor's data sheet ask for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from olivine.datasets import find_scans, load_table, read_labels, read_points, read_raw_labels
from olivine.errors import UsageError
from olivine.synth import ScanSetRecipe, write_scan_set
from olivine.synth.kitti_ids import kitti_ids

KITTI = load_table("semantickitti")
TINY = ScanSetRecipe(seed=3, scans_per_sequence=1, num_columns=90)
NEVER = {"parking", "bicyclist", "motorcyclist"}


@pytest.fixture(scope="module")
def tiny_scans(tmp_path_factory):
    root = tmp_path_factory.mktemp("scan-set") / "scans"
    write_scan_set(root, TINY, num_workers=1)
    return root


def all_scans(root):
    return [*find_scans(KITTI, root, "train"), *find_scans(KITTI, root, "val")]


def test_every_labelled_sequence_is_there_and_every_id_is_known(tiny_scans):
    scans = all_scans(tiny_scans)
    assert sorted(scan.sequence for scan in scans) == [f"{number:02d}" for number in range(11)]
    counts = np.zeros(KITTI.num_ids, np.int64)
    for scan in scans:
        points_N4 = read_points(KITTI, scan)
        counts += np.bincount(read_labels(KITTI, scan.labels, len(points_N4)), minlength=KITTI.num_ids)
    share = dict(zip(["ignored", *KITTI.class_names], counts / counts.sum(), strict=True))
    print({name: f"{value:.2%}" for name, value in share.items()})
    assert {name for name, value in share.items() if value == 0} <= NEVER | {"bicycle", "motorcycle", "truck"}
    assert all(share[name] == 0 for name in NEVER)
    assert share["road"] > 0.2
    assert share["ignored"] < 0.05
    assert all(
        share[name] > 0.001 for name in ("car", "sidewalk", "building", "vegetation", "trunk", "terrain", "pole")
    )


def test_the_sensor_is_another_one_than_in_the_nuscenes_layout(tiny_scans):
    elevations = []
    for scan in all_scans(tiny_scans):
        points_N4 = read_points(KITTI, scan)
        assert 0.3 * 64 * 90 < len(points_N4) < 64 * 90
        assert 0 <= points_N4[:, 3].min() <= points_N4[:, 3].max() <= KITTI.layout.intensity_max
        assert np.allclose(points_N4[:, 3] * 100, np.rint(points_N4[:, 3] * 100), atol=1e-4)
        range_N = np.sqrt((points_N4[:, :3].astype(np.float64) ** 2).sum(axis=1))
        elevations.append(np.degrees(np.arcsin(points_N4[:, 2] / range_N)))
        road_N = read_labels(KITTI, scan.labels) == KITTI.class_names.index("road") + 1
        near_N = road_N & (range_N < 8)
        assert np.median(points_N4[near_N, 2]) == pytest.approx(-1.73, abs=0.1)
    beams = np.unique(np.round(np.concatenate(elevations), 2))
    nominal = np.array([*(2 - np.arange(32) / 3), *(-8.83 - np.arange(32) / 2)])
    nearest = np.abs(beams[:, None] - nominal).argmin(axis=1)
    assert np.abs(beams - nominal[nearest]).max() < 0.03
    # The lowest see nothing but the vehicle itself.
    assert len(set(nearest.tolist())) >= 62


def test_the_vehicle_drives_forward_along_x(tmp_path):
    """Two scans of a sequence, moved by the way in between, lie on one another better than the other way round."""
    root = tmp_path / "two"
    write_scan_set(root, TINY.model_copy(update={"scans_per_sequence": 2, "num_columns": 720}), num_workers=1)
    first, second = (read_points(KITTI, scan) for scan in find_scans(KITTI, root, "val"))
    upright = [points_N4[np.abs(points_N4[:, 2]) < 1] for points_N4 in (first, second)]

    def overlap(way_m):
        cells = [
            {tuple(cell) for cell in np.floor((points_N4[:, :2] + [shift, 0]) / 0.5).astype(int).tolist()}
            for points_N4, shift in zip(upright, (0.0, way_m), strict=True)
        ]
        return len(cells[0] & cells[1])

    best = max(np.arange(-6, 6.1, 0.5), key=overlap)
    assert 2.0 <= best <= 5.5, "half a second at 5 to 10 m/s"


def test_instances_stand_above_the_ids(tiny_scans):
    raw = np.concatenate([np.fromfile(scan.labels, np.uint32) for scan in all_scans(tiny_scans)])
    ids, instances = raw & 0xFFFF, raw >> 16
    assert instances[ids == 10].min() > 0
    assert instances[np.isin(ids, [40, 48, 50, 70, 72])].max() == 0
    scan = all_scans(tiny_scans)[0]
    assert set(read_raw_labels(scan.labels).tolist()) <= set(ids.tolist())


def test_the_marker_says_synthetic_and_the_bytes_repeat(tiny_scans, tmp_path):
    seen = []
    write_scan_set(tmp_path / "again", TINY, lambda done, total: seen.append((done, total)), num_workers=2)
    for path in sorted(path for path in tiny_scans.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / path.relative_to(tiny_scans)).read_bytes() == path.read_bytes(), path
    assert seen[-1] == (11, 11)
    marker = json.loads((tiny_scans / "synth.json").read_text())
    assert marker["recipe"] == TINY.model_dump()
    with pytest.raises(UsageError, match="another recipe"):
        write_scan_set(tiny_scans, TINY.model_copy(update={"seed": 4}))


def test_ids_of_parts():
    assert kitti_ids([28, 28, 30, 30, 17, 31], [0, 80, 0, 71, 0, 0]).tolist() == [50, 80, 70, 71, 10, 0]


def test_the_command(olivine, tmp_path):
    call = ["synth", "--layout", "semantickitti", "--out", tmp_path / "scans"]
    code, _, err = olivine(*call, "--train-scenes", "9")
    assert code == 64
    assert "--train-scenes does not go with --layout semantickitti" in err
    assert not (tmp_path / "scans").exists()
