from __future__ import annotations

import json
import re
from statistics import fmean
from types import SimpleNamespace

import pytest
from comparison import Compared, run_stage

from olivine.report.curves import Plateau, draw_finetuning, draw_pretraining, measure_plateaus
from olivine.report.trace import trace


def test_every_term_of_the_loss_is_drawn(compared: Compared):
    backbone = trace(compared.store, compared.all).of_kind("backbone")
    assert backbone is not None
    charts = draw_pretraining(backbone)
    assert [chart.title for chart in charts] == [
        "weighted sum",
        "point-pixel InfoNCE",
        "category-aware contrast",
        "von Mises-Fisher consistency",
    ]
    assert all(chart.svg.count("<polyline") == 1 for chart in charts)


def test_every_run_of_both_arms_is_drawn(compared: Compared):
    for chart in draw_finetuning(trace(compared.store, compared.all)):
        names = re.findall(r'class="line (\w+)"><title>([^<]*)', chart.svg)
        assert names == [
            ("random", "random, seed 0"),
            ("random", "random, seed 1"),
            ("olivine", "olivine, seed 0"),
            ("olivine", "olivine, seed 1"),
        ]


def test_the_plateau_is_measured_over_the_last_third(own_compared: Compared):
    drives = own_compared.all[0].manifest.inputs["drives"].id
    settings = ["finetune.epochs=6", "finetune.curve_points=6"]
    tuned = [
        run_stage("finetune", own_compared.folder, {"drives": drives}, f"finetune.seed={seed}", *settings)
        for seed in (0, 1)
    ]
    metrics = [run_stage("evaluate", own_compared.folder, {"drives": drives, "segmenter": item.id}) for item in tuned]
    curves = [json.loads(item.read("history.json"))["select_miou"] for item in tuned]
    assert [row["step"] for row in curves[0]] == [2, 4, 6, 8, 10, 12]
    [plateau] = measure_plateaus(trace(own_compared.store, metrics))
    assert plateau.arm == "random"
    assert plateau.change == pytest.approx(fmean(curve[5]["miou"] - curve[3]["miou"] for curve in curves))
    assert plateau.final == pytest.approx(fmean(curve[5]["miou"] for curve in curves))


def test_a_single_point_says_nothing_about_a_plateau(own_compared: Compared):
    drives = own_compared.all[0].manifest.inputs["drives"].id
    tuned = run_stage("finetune", own_compared.folder, {"drives": drives}, "finetune.curve_points=0")
    metrics = run_stage("evaluate", own_compared.folder, {"drives": drives, "segmenter": tuned.id})
    traced = trace(own_compared.store, [metrics])
    assert measure_plateaus(traced) == [Plateau("random", None, None)]
    assert [chart.title for chart in draw_finetuning(traced)] == ["training loss"]


@pytest.mark.parametrize("term", ["superpixel", "temporal", "regression", "views", "momentum"])
def test_a_method_is_drawn_by_its_own_terms(term):
    history = [{"step": step, "lr": 0.1, "loss": 2.0 / (step + 1), term: 1.0 / (step + 1)} for step in range(5)]
    backbone = SimpleNamespace(read=lambda path: json.dumps(history))
    charts = draw_pretraining(backbone)
    assert len(charts) == 2
    assert charts[0].title == "weighted sum"
    assert draw_pretraining(SimpleNamespace(read=lambda path: "[]")) == []
