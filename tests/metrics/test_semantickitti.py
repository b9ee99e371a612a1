"""Scoring SemanticKITTI: by hand, by the official evaluator's own arithmetic, and every way the folders can be wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from olivine.datasets import load_table, read_labels, write_prediction
from olivine.errors import DataError, UsageError
from olivine.metrics.semantickitti import score_semantickitti

TABLE = load_table("semantickitti")


def write(root, kind, scans, sequence="08"):
    for frame, raw in scans.items():
        path = root / f"sequences/{sequence}/{kind}/{frame}.label"
        path.parent.mkdir(parents=True, exist_ok=True)
        (np.array(raw, np.uint32) | 7 << 16).tofile(path)
    return root


@pytest.fixture
def folders(tmp_path):
    truth = write(tmp_path / "truth", "labels", {"000000": [0, 10, 252, 40, 40], "000001": [40, 99, 60, 15]})
    found = write(tmp_path / "found", "predictions", {"000000": [10, 10, 10, 40, 0], "000001": [40, 48, 40, 10]})
    return found, truth


def test_scores_by_hand(folders):
    score = score_semantickitti(*folders)
    # car: 2 hits, a motorcycle taken for one. road: 3 hits, one predicted as ignored. motorcycle: missed.
    expected = {"car": 2 / 3, "road": 3 / 4, "motorcycle": 0.0}
    assert score["per_category"] == {name: expected.get(name) for name in TABLE.class_names}
    # The sidewalk is predicted where the truth is ignored: it does not occur.
    assert score["miou_present"] == pytest.approx((2 / 3 + 3 / 4) / 3)
    assert score["miou"] == pytest.approx((2 / 3 + 3 / 4) / 19)
    assert (score["num_points"], score["num_sweeps"], score["split"]) == (7, 2, "val")
    assert json.loads(json.dumps(score, allow_nan=False)) == score


def test_equals_the_official_arithmetic(tmp_path):
    """The benchmark counts [prediction, target], clears the column of ignored targets, and adds 1e-15 to each union."""
    rng = np.random.default_rng(5)
    raw_ids = np.array([*TABLE.ignored, *(raw for item in TABLE.classes for raw in item.raw_ids)])
    raw_ids = raw_ids[raw_ids != 32]
    raw_ids = raw_ids[raw_ids != 255]
    counts = np.zeros((20, 20), np.int64)
    lookup = TABLE.raw_to_class()
    for frame in ("000000", "000001", "000002"):
        target = rng.choice(raw_ids, 5000)
        prediction = np.where(rng.random(5000) < 0.6, target, rng.choice(raw_ids, 5000))
        write(tmp_path / "truth", "labels", {frame: target})
        write(tmp_path / "found", "predictions", {frame: prediction})
        np.add.at(counts, (lookup[prediction], lookup[target]), 1)
    counts[:, 0] = 0
    hits = np.diag(counts)
    union = hits + (counts.sum(axis=1) - hits) + (counts.sum(axis=0) - hits) + 1e-15
    score = score_semantickitti(tmp_path / "found", tmp_path / "truth")
    assert score["miou"] == pytest.approx((hits[1:] / union[1:]).mean(), abs=1e-12)
    ours = [0.0 if value is None else value for value in score["per_category"].values()]
    assert ours == pytest.approx((hits / union)[1:], abs=1e-12)
    assert score["per_category"]["motorcyclist"] is None, "an absent class is part of the case"


def test_what_we_write_scores_as_it_should(folders, tmp_path):
    _, truth = folders
    for frame in ("000000", "000001"):
        class_N = read_labels(TABLE, truth / f"sequences/08/labels/{frame}.label")
        path = write_prediction(TABLE, tmp_path / "own", "08", frame, class_N)
        assert path == tmp_path / f"own/sequences/08/predictions/{frame}.label"
        assert path.stat().st_size == 4 * len(class_N)
    score = score_semantickitti(tmp_path / "own", truth)
    assert (score["miou_present"], score["miou"]) == (1.0, pytest.approx(3 / 19))
    with pytest.raises(DataError, match=r"08/000000: class ids are outside of 0\.\.19"):
        write_prediction(TABLE, tmp_path, "08", "000000", np.array([20]))
    with pytest.raises(UsageError, match="the table of daps3d does not say where predictions lie"):
        write_prediction(load_table("daps3d"), tmp_path, "a", "0", np.array([1]))


def test_the_real_scan(tmp_path):
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real scan to score")
    truth = Path(os.environ["OLIVINE_REAL_DATA"]) / "semantickitti"
    if not truth.is_dir():
        pytest.skip(f"{truth} is missing")
    labels = truth / "sequences/08/labels/000000.label"
    found = tmp_path / "sequences/08/predictions/000000.label"
    found.parent.mkdir(parents=True)
    shutil.copyfile(labels, found)
    score = score_semantickitti(tmp_path, truth)
    assert score["miou_present"] == 1.0
    assert score["num_points"] == np.count_nonzero(read_labels(TABLE, labels))


@pytest.mark.parametrize(
    ("frame", "raw", "reason"),
    [
        ("000000", [10, 10, 10, 40], r"000000\.label against .*: 4 predictions for 5 points"),
        ("000001", [40, 48, 40, 3], r"000001\.label: raw ids that semantickitti does not list: 3 \(1 points\)"),
        ("000002", [10], r"000002\.label \(and 0 more\) has no ground truth"),
    ],
)
def test_wrong_predictions_are_named(folders, frame, raw, reason):
    write(folders[0], "predictions", {frame: raw})
    with pytest.raises(DataError, match=reason):
        score_semantickitti(*folders)


def test_missing_files_are_named(folders, tmp_path):
    found, truth = folders
    (found / "sequences/08/predictions/000001.label").unlink()
    with pytest.raises(DataError, match=r"scan 000001 of sequence 08 \(and 0 more of 2\) has no prediction"):
        score_semantickitti(found, truth)
    with pytest.raises(DataError, match=r"08 holds no folder sequences/: give the one above it"):
        score_semantickitti(found / "sequences/08", truth)
    with pytest.raises(DataError, match="labels is missing: sequence 00 of the split 'train'"):
        score_semantickitti(found, truth, "train")
    with pytest.raises(UsageError, match="has no split 'select'"):
        score_semantickitti(found, truth, "select")
    write(truth, "labels", {"000000": [0] * 5, "000001": [99] * 4})
    write(found, "predictions", {"000001": [40] * 4})
    with pytest.raises(DataError, match="so there is nothing to score"):
        score_semantickitti(found, truth)


def test_the_command(olivine, folders):
    found, truth = folders
    call = ["score", "semantickitti", "--predictions", found, "--ground-truth", truth]
    code, out, _ = olivine(*call, "--json")
    assert code == 0
    assert json.loads(out) == score_semantickitti(found, truth)
    lines = olivine(*call)[1].splitlines()
    assert lines[0].split() == ["car", "0.6667"]
    assert lines[-2].split() == ["mIoU", f"{(2 / 3 + 3 / 4) / 19:.4f}"]
    assert lines[-1].split() == ["mIoU,", "present", "classes", "0.4722"]
