"""Score a segmenter on corrupted sweeps: the eight corruptions of `olivine.points.corrupt` at three severities.

    olivine robustness --drives ID --segmenter ID [--baseline FILE] [--json]

A corrupted point keeps the label of the surface that it came from; what was scattered by fog, snow or another sensor is
ignored, and so are points that are lost. A sweep is corrupted alike for every segmenter, so that scores can be paired.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import DataError
from olivine.evaluate.load import load_segmenter, require_fit
from olivine.metrics.confusion import Confusion
from olivine.metrics.iou import mean_iou
from olivine.metrics.robustness import (
    Scores,
    corruption_errors,
    mean_corruption_error,
    mean_resilience_rate,
    resilience_rates,
)
from olivine.models.predict import predict_points
from olivine.points.corrupt import CORRUPTIONS, SEVERITIES, corrupt
from olivine.progress import Progress

SIMULATED = "Simulated corruptions of olivine's own, not the files of nuScenes-C: compare arms, not papers."


def measure_robustness(
    drives: Artifact, segmenter: Artifact, split: Literal["test", "select"], seed: int = 0
) -> dict[str, Any]:
    """mIoU on the sweeps as they are (`clean_miou`) and by corruption and severity (`miou`), with `resilience_rates`
    and their mean (mRR), shares 0..1; every sweep is predicted 25 times.

    Raises:
        DataError: the split is empty or has no hand labels, or nothing that is labelled is left of it.
        UsageError: these drives have other classes than the segmenter.
    """
    require_fit(segmenter, drives)
    reader = Drives(drives)
    tokens = reader.tokens(split)
    if not tokens:
        raise DataError(f"drives {drives.id[:12]} have no keyframe in the split {split!r}.")
    model, network = load_segmenter(segmenter)
    model.eval()
    clean = Confusion(model.num_ids)
    cases = {(name, severity): Confusion(model.num_ids) for name in CORRUPTIONS for severity in SEVERITIES}
    with Progress("robustness", len(tokens) * (len(cases) + 1), "sweeps") as progress:
        for token in tokens:
            points_N5, label_N = reader.sweep(token), reader.lidarseg(token)
            clean.add(label_N, predict_points(model, points_N5[:, :4], network, token), token)
            progress.advance()
            for (name, severity), confusion in cases.items():
                where = f"{token} with {name} {severity}"
                # Tokens begin with 8 hexadecimal digits.
                made = corrupt(points_N5, name, severity, (seed << 32) + int(token[:8], 16))
                found_M = predict_points(model, made.points_M5[:, :4], network, where)
                confusion.add(made.labels(label_N), found_M, where)
                progress.advance()
    miou = {
        name: {severity: _miou(cases[name, severity], f"{name} {severity}") for severity in SEVERITIES}
        for name in CORRUPTIONS
    }
    clean_miou = _miou(clean, "no corruption")
    return {
        "clean_miou": clean_miou,
        "miou": {name: {str(severity): value for severity, value in row.items()} for name, row in miou.items()},
        "resilience_rates": resilience_rates(miou, clean_miou),
        "mean_resilience_rate": mean_resilience_rate(miou, clean_miou),
        "split": split,
        "num_sweeps": len(tokens),
        "seed": seed,
        "drives": drives.id,
        "segmenter": segmenter.id,
        "init": segmenter.manifest.summary["init"],
        "simulated": SIMULATED,
    }


def add_baseline(measured: dict[str, Any], baseline: Path) -> dict[str, Any]:
    """`measured` with `corruption_errors` and their mean (mCE) against a baseline, a file of what `measure_robustness`
    returned.

    Raises:
        DataError: the file is no such thing, or is of other drives, another split or seed.
    """
    try:
        other = json.loads(baseline.read_bytes())
        theirs = _scores(other["miou"])
        whose = f"{str(other['segmenter'])[:12]} ({other['init']})"
        differing = [name for name in ("drives", "split", "seed") if other[name] != measured[name]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{baseline} is nothing that `olivine robustness --json` printed ({error!r})") from None
    if differing:
        raise DataError(f"{baseline} was measured with another {differing[0]}: measure both alike")
    ours = _scores(measured["miou"])
    return measured | {
        "corruption_errors": corruption_errors(ours, theirs),
        "mean_corruption_error": mean_corruption_error(ours, theirs),
        "baseline": whose,
    }


def _scores(miou: Mapping[str, Mapping[str, float]]) -> Scores:
    return {name: {int(severity): float(value) for severity, value in row.items()} for name, row in miou.items()}


def _miou(confusion: Confusion, where: str) -> float:
    value = mean_iou(confusion.counts_CC)
    if math.isnan(value):
        raise DataError(f"{where}: no labelled point is left to score")
    return value
