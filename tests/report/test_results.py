from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
from comparison import Compared, make_summary

from olivine.packs import bytes_array
from olivine.report.results import draw_confusions, draw_seeds
from olivine.report.trace import trace


def test_every_seed_of_both_arms_is_a_dot_at_its_score():
    summary = make_summary(3)
    summary["arms"]["olivine"]["miou_by_seed"] = [0.33, 0.30, None]
    dots = [(dot.attrib["class"], float(dot.attrib["cx"])) for dot in ET.fromstring(draw_seeds(summary)).iter("circle")]
    assert [style for style, _ in dots] == ["dot random", "dot olivine", "dot random", "dot olivine", "dot random"]
    assert dots[0][1] < dots[1][1]
    assert dots[2][1] > dots[3][1]
    assert dots[0][1] == dots[3][1], "the same score, the same place"


def test_without_any_score_nothing_is_drawn():
    summary = make_summary(1)
    for arm in summary["arms"].values():
        arm["miou_by_seed"] = [None]
    assert "No run has an mIoU" in draw_seeds(summary)


def test_confusions_are_shares_of_a_row_over_all_seeds(compared: Compared):
    charts = draw_confusions(trace(compared.store, compared.all))
    assert [chart.title for chart in charts] == ["random", "olivine"]
    matrices = [bytes_array(compared.metrics["random", seed].read("confusion.npy")) for seed in (0, 1)]
    cars_C = np.sum(matrices, axis=0)[4]
    share = 100 * cars_C[15] / cars_C[1:].sum()
    assert f"car predicted as manmade: {share:.1f} % of {cars_C[1:].sum()} points" in charts[0].svg
    assert charts[0].svg.count("<title>") == 16 * 16
