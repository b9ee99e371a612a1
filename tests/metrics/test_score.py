"""Scoring folders of predictions: against the official evaluator, and every way the folders can be wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from olivine.errors import DataError
from olivine.metrics.score import score_arrays, score_nuscenes_lidarseg
from olivine.nuscenes_categories import CATEGORY_NAMES, RAW_CATEGORY_NAMES, RAW_TO_CATEGORY


def write_labels(folder, labels):
    folder.mkdir(parents=True, exist_ok=True)
    for token, values in labels.items():
        (folder / f"{token}_lidarseg.bin").write_bytes(bytes(int(value) for value in values))
    return folder


@pytest.fixture
def folders(tmp_path):
    truth = write_labels(tmp_path / "truth", {"a": [0, 1, 1, 4], "b": [4, 4]})
    predictions = write_labels(tmp_path / "predictions", {"a": [7, 1, 4, 4], "b": [4, 1]})
    return predictions, truth


def test_scores_by_hand(folders):
    score = score_nuscenes_lidarseg(*folders)
    assert score["per_category"]["barrier"] == pytest.approx(1 / 3)
    assert score["per_category"]["car"] == pytest.approx(2 / 4)
    assert score["per_category"]["pedestrian"] is None  # Predicted on an ignored point alone.
    assert score["miou"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert score["frequency_weighted_iou"] == pytest.approx((2 / 3 + 3 / 2) / 5)
    assert (score["num_points"], score["num_sweeps"]) == (5, 2)
    assert json.loads(json.dumps(score, allow_nan=False)) == score


def test_arrays_give_the_same_as_folders(folders):
    score = score_arrays(np.array([7, 1, 4, 4, 4, 1]), np.array([0, 1, 1, 4, 4, 4]))
    assert {**score.as_json(), "num_sweeps": 2} == score_nuscenes_lidarseg(*folders)
    assert math.isnan(score.per_category["bus"])


def test_raw_ground_truth_and_a_mapping_of_files(folders, tmp_path):
    predictions, _ = folders
    raw = write_labels(tmp_path / "raw", {"a": [31, 9, 9, 17], "b": [17, 17]})
    expected = score_nuscenes_lidarseg(*folders)
    assert score_nuscenes_lidarseg(predictions, raw, raw_labels=True) == expected
    files = {token: raw / f"{token}_lidarseg.bin" for token in "ab"}
    assert score_nuscenes_lidarseg(predictions, files, raw_labels=True) == expected


def test_other_files_in_the_folder_do_not_matter(folders):
    predictions, truth = folders
    before = score_nuscenes_lidarseg(predictions, truth)
    (predictions / "submission.json").write_text("{}")
    assert score_nuscenes_lidarseg(predictions, truth) == before


@pytest.mark.parametrize(
    ("token", "values", "reason"),
    [
        ("a", [7, 1, 4], r"a_lidarseg\.bin against .*: 3 predictions for 4 points"),
        ("a", [0, 1, 4, 4], r"a_lidarseg\.bin against .*: prediction 0 is outside 1\.\.16"),
        ("b", [4, 17], r"b_lidarseg\.bin against .*: prediction 17 is outside"),
        ("c", [1], r"c_lidarseg\.bin \(and 0 more\) has no ground truth"),
    ],
)
def test_wrong_predictions_are_named(folders, token, values, reason):
    write_labels(folders[0], {token: values})
    with pytest.raises(DataError, match=reason):
        score_nuscenes_lidarseg(*folders)


def test_a_missing_prediction_is_named(folders):
    (folders[0] / "b_lidarseg.bin").unlink()
    with pytest.raises(DataError, match=r"b_lidarseg\.bin is missing \(and 0 more of 2\): predict every sweep"):
        score_nuscenes_lidarseg(*folders)


def test_a_wrong_name_is_named(folders):
    (folders[0] / "b.bin").write_bytes(b"\x01")
    with pytest.raises(DataError, match=r"b\.bin is not named <token>_lidarseg\.bin"):
        score_nuscenes_lidarseg(*folders)


def test_wrong_ground_truth_is_named(folders, tmp_path):
    predictions, truth = folders
    write_labels(truth, {"a": [0, 1, 17, 4]})
    with pytest.raises(DataError, match=r"truth/a_lidarseg\.bin: target 17"):
        score_nuscenes_lidarseg(predictions, truth)
    write_labels(truth, {"a": [0, 1, 32, 4]})
    with pytest.raises(DataError, match=r"truth/a_lidarseg\.bin: label 32 is outside 0\.\.31"):
        score_nuscenes_lidarseg(predictions, truth, raw_labels=True)
    write_labels(truth, {"a": [0] * 4, "b": [0] * 2})
    with pytest.raises(DataError, match="nothing to score"):
        score_nuscenes_lidarseg(predictions, truth)
    with pytest.raises(DataError, match="cannot be read"):
        score_nuscenes_lidarseg(predictions, {"a": tmp_path / "absent", "b": truth / "b_lidarseg.bin"})


def test_folders_that_are_not_there_or_empty(folders, tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        score_nuscenes_lidarseg(tmp_path / "absent", folders[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \*_lidarseg\.bin file"):
        score_nuscenes_lidarseg(folders[0], tmp_path / "empty")


@pytest.mark.filterwarnings("ignore")
def test_equals_the_official_evaluator(tmp_path, monkeypatch):
    """The devkit's own `LidarSegEval.evaluate` on the same files; the tables are stood in for by three look-ups."""
    from nuscenes.eval.lidarseg import evaluate as official

    rng = np.random.default_rng(0)
    weights = rng.random(32) ** 4
    raw = {f"t{n}": rng.choice(32, 3000, p=weights / weights.sum()) for n in range(5)}
    predicted = {
        token: np.where(rng.random(3000) < 0.6, np.maximum(RAW_TO_CATEGORY[labels], 1), rng.integers(1, 17, 3000))
        for token, labels in raw.items()
    }
    truth_folder = write_labels(tmp_path / "lidarseg_raw", raw)
    prediction_folder = write_labels(tmp_path / "lidarseg" / "mini_val", predicted)

    class Tables:
        version, dataroot = "v1.0-mini", str(tmp_path)
        lidarseg = (1,)
        lidarseg_name2idx_mapping = {name: index for index, name in enumerate(RAW_CATEGORY_NAMES)}  # noqa: RUF012

        def get(self, table, token):
            if table == "sample":
                return {"data": {"LIDAR_TOP": token}}
            return {"filename": f"lidarseg_raw/{token}_lidarseg.bin"}

    monkeypatch.setattr(official, "get_samples_in_eval_set", lambda nusc, eval_set: list(raw))
    expected = official.LidarSegEval(Tables(), str(tmp_path), "mini_val").evaluate()
    ours = score_nuscenes_lidarseg(prediction_folder, truth_folder, raw_labels=True)
    assert ours["miou"] == pytest.approx(expected["miou"], abs=1e-9)
    assert ours["frequency_weighted_iou"] == pytest.approx(expected["freq_weighted_iou"], abs=1e-9)
    assert [ours["per_category"][name] for name in CATEGORY_NAMES] == pytest.approx(
        [expected["iou_per_class"][name] for name in CATEGORY_NAMES], abs=1e-9
    )
