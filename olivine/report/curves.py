"""Training curves: losses of pretraining and fine-tuning, and mIoU on `select`, which shows whether it levelled off."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from markupsafe import Markup

from olivine.artifacts import Artifact
from olivine.report.svg import Series, bin_means, line_chart
from olivine.report.trace import Run, Trace

_TERMS = {
    "loss": ("weighted sum", "What is minimised."),
    "point_pixel": ("point-pixel InfoNCE", "Before its weight in the sum."),
    "category": ("category-aware contrast", "Before its weight in the sum."),
    "consistency": (
        "von Mises-Fisher consistency",
        "Before its weight in the sum; 0 while the statistics of the classes are gathered.",
    ),
    "superpixel": ("superpixel contrast", "Before its weight in the sum."),
    "temporal": ("point-to-segment contrast over time", "Before its weight in the sum."),
    "regression": ("distance to the teacher", "Before its weight in the sum."),
    "views": ("contrast of two views", "Before its weight in the sum."),
    "momentum": ("contrast of clouds with the queue", "Before its weight in the sum."),
}
_RUNS_NOTE = "One line a run; each point is the mean of neighbouring steps where there are many."
_SELECT_NOTE = "Full-point mIoU on scenes that neither training nor the result uses."


@dataclass(frozen=True)
class Chart:
    """A chart and what is to be read in it."""

    title: str
    svg: Markup
    note: str = ""


@dataclass(frozen=True)
class Plateau:
    """How far the `select` mIoU of an arm still moved in the last third of its steps: mean over seeds, 0..1."""

    arm: str
    change: float | None
    final: float | None


def draw_pretraining(backbone: Artifact) -> list[Chart]:
    """One chart for each term of the method's loss; none for a backbone that was trained elsewhere."""
    history = json.loads(backbone.read("history.json"))
    charts = []
    for name in [name for name in _TERMS if history and name in history[0]]:
        title, note = _TERMS[name]
        xs, ys = bin_means([row["step"] for row in history], [row[name] for row in history])
        svg = line_chart(f"{title} over the steps of pretraining", [Series(title, "olivine", xs, ys)], "step", "loss")
        charts.append(Chart(title, svg, note))
    return charts


def draw_finetuning(traced: Trace) -> list[Chart]:
    """The training loss and the `select` mIoU of every run."""
    losses, scores = [], []
    for run in traced.runs:
        history = json.loads(run.segmenter.read("history.json"))
        name = f"{run.arm}, seed {run.seed}"
        xs, ys = bin_means([row["step"] for row in history["loss"]], [row["loss"] for row in history["loss"]])
        losses.append(Series(name, run.arm, xs, ys))
        xs, ys = ([row[key] for row in _score_curve(history)] for key in ("step", "miou"))
        scores.append(Series(name, run.arm, xs, [100 * share for share in ys], markers=True))
    loss_chart = line_chart("fine-tuning loss of every run", losses, "step", "loss")
    charts = [Chart("training loss", loss_chart, _RUNS_NOTE)]
    if any(line.xs for line in scores):
        svg = line_chart("select mIoU of every run", scores, "step", "mIoU [%]", from_zero=True)
        charts.append(Chart("mIoU on select", svg, _SELECT_NOTE))
    return charts


def measure_plateaus(traced: Trace) -> list[Plateau]:
    """For each arm, the change of `select` mIoU from two thirds of the steps to the end."""
    return [_measure_plateau(arm, traced.of_arm(arm)) for arm in traced.arms]


def _measure_plateau(arm: str, runs: Sequence[Run]) -> Plateau:
    curves = [_score_curve(json.loads(run.segmenter.read("history.json"))) for run in runs]
    changes = [curve[-1]["miou"] - _at(curve, 2 / 3) for curve in curves if len(curve) > 1]
    finals = [curve[-1]["miou"] for curve in curves if curve]
    return Plateau(arm, fmean(changes) if changes else None, fmean(finals) if finals else None)


def _score_curve(history: dict[str, Any]) -> list[dict[str, float]]:
    """The scored points on the way; a split without a hand label has no mIoU."""
    return [row for row in history["select_miou"] if math.isfinite(row["miou"])]


def _at(curve: Sequence[dict[str, float]], share: float) -> float:
    """The score at the point nearest to that share of all steps, the end itself left out."""
    wanted = share * curve[-1]["step"]
    return min(curve[:-1], key=lambda row: abs(row["step"] - wanted))["miou"]
