from __future__ import annotations

import json
import random
from statistics import fmean, stdev

import pytest
from comparison import Compared

from olivine.artifacts import find_artifact
from olivine.nuscenes_categories import CATEGORY_NAMES
from olivine.report.summary import mean_known, summarise
from olivine.stages import WORDS

T_975_1_DEGREE = 12.706204736


def test_every_number_is_that_of_the_metrics(compared: Compared):
    summary = summarise(compared.store, compared.all)
    assert list(summary["arms"]) == ["random", "olivine"]
    assert summary["seeds"] == [0, 1]
    for name, arm in summary["arms"].items():
        scores = [json.loads(compared.metrics[name, seed].read("metrics.json")) for seed in (0, 1)]
        assert arm["miou_by_seed"] == [score["miou"] for score in scores]
        assert arm["miou"] == pytest.approx(fmean(arm["miou_by_seed"]))
        assert list(arm["per_category"]) == list(CATEGORY_NAMES)
        for category, share in arm["per_category"].items():
            known = [score["per_category"][category] for score in scores if score["per_category"][category] is not None]
            assert share == (pytest.approx(fmean(known)) if known else None)


def test_the_gain_is_paired_by_seed(compared: Compared):
    summary = summarise(compared.store, compared.all)
    random_start, ours = (summary["arms"][name]["miou_by_seed"] for name in ("random", "olivine"))
    differences = [a - b for a, b in zip(ours, random_start, strict=True)]
    half = T_975_1_DEGREE * stdev(differences) / 2**0.5
    assert summary["paired_gain"]["mean"] == pytest.approx(fmean(differences))
    expected = [fmean(differences) - half, fmean(differences) + half]
    assert summary["paired_gain"]["interval"] == pytest.approx(expected)


def test_keys_are_those_of_the_format(compared: Compared):
    summary = summarise(compared.store, compared.all)
    assert list(summary) == ["arms", "paired_gain", "seeds", "labels", "artifacts", "wall_s", "peak_rss_mb"]
    assert list(summary["labels"]) == ["kind", "accuracy", "coverage"]
    assert list(summary["artifacts"]) == list(summary["wall_s"]) == list(summary["peak_rss_mb"]) == list(WORDS)
    assert all(seconds > 0 for seconds in summary["wall_s"].values())
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_labels_are_said_to_be_simulated(compared: Compared):
    labels = summarise(compared.store, compared.all)["labels"]
    assert labels["kind"] == "simulated"
    assert 0.5 < labels["accuracy"] < 0.85
    assert 0.5 < labels["coverage"] <= 1


def test_artifacts_are_listed_with_their_arm_and_digest(compared: Compared):
    listed = summarise(compared.store, compared.all)["artifacts"]
    assert [(item["arm"], item["seed"]) for item in listed["evaluate"]] == [
        ("random", 0),
        ("random", 1),
        ("olivine", 0),
        ("olivine", 1),
    ]
    assert [len(listed[word]) for word in WORDS] == [1, 1, 1, 1, 4, 4]
    assert (listed["pretrain"][0]["arm"], listed["pretrain"][0]["seed"]) == (None, None)
    for word, items in listed.items():
        for item in items:
            assert find_artifact(compared.store, word, item["id"]).manifest.data_digest == item["data_digest"]


def test_the_order_of_the_metrics_does_not_matter(compared: Compared):
    shuffled = compared.all
    random.Random(1).shuffle(shuffled)
    summaries = [json.dumps(summarise(compared.store, given)) for given in (compared.all, shuffled)]
    assert summaries[0] == summaries[1]


def test_one_seed_has_no_interval(compared: Compared):
    pair = [compared.metrics["random", 1], compared.metrics["olivine", 1]]
    summary = summarise(compared.store, pair)
    assert summary["seeds"] == [1]
    assert summary["paired_gain"]["interval"] is None
    assert summary["paired_gain"]["mean"] is not None


def test_one_arm_has_no_gain_and_no_labels(compared: Compared):
    summary = summarise(compared.store, [compared.metrics["random", seed] for seed in (0, 1)])
    assert list(summary["arms"]) == ["random"]
    assert summary["paired_gain"] == {"mean": None, "interval": None}
    assert summary["labels"] == {"kind": None, "accuracy": None, "coverage": None}
    assert summary["artifacts"]["pretrain"] == []


@pytest.mark.parametrize(("values", "expected"), [([], None), ([None], None), ([1.0, None, 3.0], 2.0)])
def test_means_leave_out_what_is_not_there(values: list[float | None], expected: float | None):
    assert mean_known(values) == expected
