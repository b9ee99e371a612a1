from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from comparison import Compared

from olivine.drives import Drives
from olivine.packs import Pack, bytes_array
from olivine.report import classes
from olivine.report.classes import Bars, count_classes, draw_weights, relative_weights
from olivine.report.colours import Swatch
from olivine.report.trace import trace

GREY = Swatch("x", (9, 9, 9))


def test_counts_are_those_of_the_labels(compared: Compared):
    traced = trace(compared.store, compared.all)
    drives, labels = Drives(traced.drives), traced.of_kind("weak_labels")
    tuned, scored, weak = count_classes(traced)
    assert labels is not None
    for bars, tokens in (
        (tuned, traced.runs[0].segmenter.manifest.summary["keyframes"]),
        (scored, drives.tokens("test")),
    ):
        all_points = np.concatenate([drives.lidarseg(token) for token in tokens])
        assert [count for _, count in bars.rows] == np.bincount(all_points, minlength=17)[1:].tolist()
    pack = Pack(labels)
    pairs = [bytes_array(pack.head(token)["pair_label.npy"]) for token in pack.index.column("keyframe")]
    assert sum(count for _, count in weak.rows) == (np.concatenate(pairs) != 255).sum() == weak.total
    assert "simulated" in weak.title


def test_a_sample_of_many_keyframes_says_so(compared: Compared, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classes, "_MOST_KEYFRAMES", 2)
    assert count_classes(trace(compared.store, compared.all))[0].title.endswith("2 of 4 keyframes")


def test_bars_are_logarithmic_from_one():
    bars = Bars("t", "points", [(GREY, 0), (GREY, 1), (GREY, 100), (GREY, 10_000)])
    assert bars.decades == 4
    assert [bars.width(count) for _, count in bars.rows] == [0, 0, 50, 100]


def test_nothing_counted_is_drawn_as_nothing():
    bars = Bars("t", "points", [(GREY, 0)])
    assert (bars.decades, bars.width(0)) == (1, 0)


def test_weights_are_relative_to_uniform_sampling(compared: Compared):
    traced = trace(compared.store, compared.all)
    density_weights, drives = traced.of_kind("density_weights"), Drives(traced.drives)
    assert density_weights is not None
    ranges, relative, density = relative_weights(density_weights)
    assert np.average(relative, weights=density) == pytest.approx(1)
    pack = Pack(density_weights)
    radius_m, weight = [], []
    for token in pack.index.column("keyframe"):
        keyframe = drives.keyframe(token)
        radius_m.append(np.hypot(*keyframe.points_N4[keyframe.pair_point_M, :2].T))
        weight.append(bytes_array(pack.head(token)["pair_weight.npy"]))
    radius_P, weight_P = np.concatenate(radius_m), np.concatenate(weight)
    far_P, far = radius_P > 20, np.array(ranges) > 20
    expected = weight_P[far_P].mean() / weight_P.mean()
    assert np.average(np.array(relative)[far], weights=np.array(density)[far]) == pytest.approx(expected, rel=0.05)
    assert expected > 1, "far pairs weigh more"


def test_weights_and_pairs_are_drawn(compared: Compared):
    density_weights = trace(compared.store, compared.all).of_kind("density_weights")
    assert density_weights is not None
    assert [chart.svg.count("<polyline") for chart in draw_weights(density_weights)] == [2, 1]


def summary_of(profile: list[list[float]]) -> Any:
    return SimpleNamespace(manifest=SimpleNamespace(summary={"profile_bin_m": 1.0, "profile": profile}))


def test_without_categories_no_pair_has_a_weight_and_the_pairs_are_drawn():
    without = summary_of([[0.0, 10], [0.0, 4]])
    assert relative_weights(without) == ([0.5, 1.5], [0.0, 0.0], [10.0, 4.0])
    assert [chart.title for chart in draw_weights(without)] == ["density of pairs"]
    assert draw_weights(summary_of([])) == []
