"""Scores on corrupted sweeps: from an independent pass over sweeps in memory, and what a baseline must share."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from olivine.errors import DataError
from olivine.evaluate import robustness
from olivine.evaluate.robustness import add_baseline, measure_robustness
from olivine.evaluate.robustness_text import robustness_lines
from olivine.metrics.score import score_arrays
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.predict import predict_points
from olivine.models.segmenter import Segmenter
from olivine.points.corrupt import CORRUPTIONS, SEVERITIES, corrupt

NETWORK = NetworkRecipe(widths=(4,) * 9, blocks=(1,) * 8, voxel_size=(0.5, 2.0, 0.5))
TOKENS = ("0000000a", "0000000b")


def make_sweep(token):
    rng = np.random.default_rng(int(token, 16))
    xyz = rng.uniform((-20, -20, -2), (20, 20, 3), (400, 3))
    points_N5 = np.column_stack([xyz, rng.integers(0, 256, 400), rng.integers(0, 32, 400)]).astype(np.float32)
    return points_N5, rng.integers(0, 17, 400).astype(np.uint8)


class Sweeps:
    """Drives in memory."""

    def __init__(self, artifact):
        self._tokens = artifact.tokens

    def tokens(self, split):
        return list(self._tokens) if split == "select" else []

    def sweep(self, token):
        return make_sweep(token)[0]

    def lidarseg(self, token):
        return make_sweep(token)[1]


def fake_segmenter():
    return SimpleNamespace(id="s" * 64, manifest=SimpleNamespace(summary={"init": "olivine"}))


@pytest.fixture(scope="module")
def measured():
    segmenter = Segmenter(NETWORK, 0.1, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(robustness, "Drives", Sweeps)
        patch.setattr(robustness, "require_fit", lambda segmenter, drives: None)
        patch.setattr(robustness, "load_segmenter", lambda artifact: (segmenter, NETWORK))
        drives, model = SimpleNamespace(tokens=TOKENS, id="d" * 64), fake_segmenter()
        with pytest.raises(DataError, match="drives dddddddddddd have no keyframe in the split 'test'"):
            measure_robustness(drives, model, "test")
        return segmenter, measure_robustness(drives, model, "select", seed=3)


def test_numbers_are_those_of_an_independent_pass(measured):
    segmenter, found = measured
    for name, severity in (("fog", 3), ("beam_missing", 2), (None, 0)):
        predicted, targets = [], []
        for token in TOKENS:
            points, label = make_sweep(token)
            if name:
                made = corrupt(points, name, severity, (3 << 32) + int(token, 16))
                points, label = made.points_M5, made.labels(label)
            predicted.append(predict_points(segmenter, points[:, :4], NETWORK, "x"))
            targets.append(label)
        miou = score_arrays(np.concatenate(predicted), np.concatenate(targets)).miou
        assert (found["miou"][name][str(severity)] if name else found["clean_miou"]) == miou
    assert not segmenter.training
    assert {name: list(row) for name, row in found["miou"].items()} == {
        name: [str(severity) for severity in SEVERITIES] for name in CORRUPTIONS
    }
    rates = [np.mean(list(row.values())) / found["clean_miou"] for row in found["miou"].values()]
    assert found["mean_resilience_rate"] == pytest.approx(np.mean(rates))
    assert (found["num_sweeps"], found["segmenter"]) == (2, "s" * 64)
    assert "not the files of nuScenes-C" in found["simulated"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_reader_is_told_what_the_numbers_are(measured, tmp_path):
    _, found = measured
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(found | {"init": "random"}))
    alone = robustness_lines(found)
    assert alone[0].startswith("mIoU [%] of segmenter ssssssssssss (olivine) on 2 sweeps of the split select")
    assert f"{100 * found['clean_miou']:.2f} without corruption" in alone[0]
    assert alone[2].split() == ["light", "moderate", "heavy", "RR"]
    fog = [100 * found["miou"]["fog"][str(severity)] for severity in SEVERITIES]
    fog.append(100 * found["resilience_rates"]["fog"])
    assert alone[3].split() == ["fog", *(f"{value:.2f}" for value in fog)]
    assert len(alone) == 3 + len(CORRUPTIONS) + 3
    assert alone[-2].startswith(f"mRR {100 * found['mean_resilience_rate']:.2f}: ")
    against = robustness_lines(add_baseline(found, path))
    assert [len(line.split()) for line in against[2:5]] == [5, 6, 6]
    assert against[3].split()[-1] == "100.00"
    assert "relative to that of segmenter ssssssssssss (random)" in against[-2]


def test_a_baseline_gives_errors(measured, tmp_path):
    _, found = measured
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(found))
    against = add_baseline(found, path)
    assert against["mean_corruption_error"] == pytest.approx(1)
    assert against["baseline"] == "ssssssssssss (olivine)"
    for change, reason in (
        ({"seed": 4}, "was measured with another seed"),
        ({"split": "test"}, "was measured with another split"),
        ({"drives": "0"}, "was measured with another drives"),
        ({"miou": None}, "is nothing that `olivine robustness --json` printed"),
        ({"miou": {"fog": {"1": 0.5}}}, "severities"),
    ):
        path.write_text(json.dumps(found | change))
        with pytest.raises(DataError, match=reason):
            add_baseline(found, path)
    for text in ("{", "[]"):
        path.write_text(text)
        with pytest.raises(DataError, match="is nothing that"):
            add_baseline(found, path)
    with pytest.raises(DataError, match="is nothing that"):
        add_baseline(found, tmp_path / "none.json")
