"""Detections as KITTI's files, the schedule, and scores over seeds."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from synthetic_kitti import IMAGE_SIZE, calibration, car, label_line

from olivine.detect.find import Detections
from olivine.detect.frames import Frame
from olivine.detect.kitti import frame_boxes
from olivine.detect.recipe import OneCycleRecipe
from olivine.detect.results import result_text
from olivine.detect.schedule import build_adamw, set_cycle
from olivine.detect.seeds import summarize_seeds, summary_lines
from olivine.errors import UsageError
from olivine.metrics.kitti_boxes import overlaps, parse_boxes


def test_a_label_that_is_found_comes_out_as_it_was():
    boxes = [car(12, 1, 0.3), car(20, -4, 2.0), car(9, -3, 1, "Pedestrian")]
    lines = [label_line(kind, box) for kind, box in zip(("Car", "Car", "Pedestrian"), boxes, strict=True)]
    labels = parse_boxes("\n".join(lines), "labels", scored=False)
    frame = Frame(
        "000001", np.zeros((1, 4), np.float32), calibration(), IMAGE_SIZE, labels, *frame_boxes(labels, calibration())
    )
    # A whole turn more, as decoding gives it, one behind the camera and one beside the image.
    given = np.array([*boxes, car(-9, 0, 0), car(10, 60, 0)])
    given[:, 6] += 2 * np.pi
    text = result_text(
        frame, Detections(given, np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([0, 0, 1, 0, 0])), ["Car", "Pedestrian"]
    )
    found = parse_boxes(text, "found", scored=True)
    assert found.score_B.tolist() == [0.9, 0.8, 0.7]
    assert np.diag(overlaps(labels, found)["3d"]) == pytest.approx([1, 1, 1], abs=1e-3)
    for line, label in zip(text.splitlines(), lines, strict=True):
        fields, wanted = line.split(), label.split()
        assert (fields[0], fields[1:3], len(fields)) == (wanted[0], ["-1", "-1"], 16)
        assert [float(field) for field in fields[3:15]] == pytest.approx(
            [float(field) for field in wanted[3:]], abs=2e-4
        )
    assert result_text(frame, Detections(np.empty((0, 7)), np.empty(0), np.empty(0, np.int64)), []) == ""


@pytest.mark.parametrize("num_steps", [5, 37, 200])
def test_the_cycle_is_torchs(num_steps):
    recipe = OneCycleRecipe()
    ours, theirs = (build_adamw(recipe, torch.nn.Linear(1, 1)) for _ in range(2))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        theirs, recipe.lr, num_steps, pct_start=0.4, div_factor=10, base_momentum=0.85, max_momentum=0.95
    )
    for step in range(num_steps):
        set_cycle(ours, recipe, step, num_steps)
        for field in ("lr", "betas", "weight_decay"):
            assert ours.param_groups[0][field] == pytest.approx(theirs.param_groups[0][field])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no gradient, no step of the optimiser
            schedule.step() if step < num_steps - 1 else None


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_the_shortest_cycles_have_finite_rates(num_steps):
    optimizer = build_adamw(OneCycleRecipe(), torch.nn.Linear(1, 1))
    for share in (0.4, 0.5):
        rates = [set_cycle(optimizer, OneCycleRecipe(rising_share=share), step, num_steps) for step in range(num_steps)]
        assert all(0 < rate <= 0.003 for rate in rates)


def scored(seed, value, **changes):
    ap = {view: {kind: {"moderate": value + row} for row, kind in enumerate(("car", "mean"))} for view in ("bev", "3d")}
    summary = {"ap": ap, "init": "random", "split": "val", "arm": "a", "frames_trained_on": 0} | changes
    manifest = SimpleNamespace(
        id=f"{seed}" * 64, seed=seed, summary=summary, recipe={}, inputs={"frames": SimpleNamespace(id="f")}
    )
    return SimpleNamespace(manifest=manifest)


def test_mean_deviation_and_best_over_seeds():
    summary = summarize_seeds([scored(seed, value) for seed, value in ((0, 0.1), (1, 0.2), (2, 0.6))])
    assert summary["seeds"] == [0, 1, 2]
    assert summary["ap"]["3d"]["car"]["moderate"] == pytest.approx({"mean": 0.3, "std": 0.07**0.5, "best": 0.6})
    assert any("moderate 30.00 +- 26.46 (60.00)" in line for line in summary_lines(summary))
    single = summarize_seeds([scored(0, 0.1)])
    assert single["ap"]["bev"]["car"]["moderate"]["std"] is None
    assert "moderate 10.00 +- - (10.00)" in summary_lines(single)[1]


def test_only_seeds_may_differ():
    with pytest.raises(UsageError, match="say which metrics"):
        summarize_seeds([])
    with pytest.raises(UsageError, match="seeds are 1, 1: one comes twice"):
        summarize_seeds([scored(1, 0.1), scored(1, 0.2)])
    for change in ({"arm": "b"}, {"split": "train"}):
        with pytest.raises(UsageError, match="differ from 000000000000 in more than the seed"):
            summarize_seeds([scored(0, 0.1), scored(1, 0.2, **change)])
