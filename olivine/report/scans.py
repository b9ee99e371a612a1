"""Error maps: the same sweeps under both arms, beside their hand labels (paper, figures 3, 8 and 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olivine.drives import Drives
from olivine.nuscenes_categories import IGNORE_CATEGORY
from olivine.packs import Pack, bytes_array
from olivine.report.birds_eye import Picture, draw_birds_eye
from olivine.report.colours import colour_table, draw_in_palettes, hand_classes, right_or_wrong
from olivine.report.trace import Run, Trace

NUM_SCANS = 3


@dataclass(frozen=True)
class ErrorMap:
    """What one arm got right and wrong in a sweep; `share_right` of the scored points (None where there are none)."""

    arm: str
    share_right: float | None
    picture: Picture


@dataclass(frozen=True)
class Scan:
    """One test sweep: its hand labels, and an error map for each arm."""

    scene: str
    num_points: int
    num_ignored: int
    truth: Picture
    maps: list[ErrorMap]


def draw_scans(traced: Trace) -> list[Scan]:
    """Sweeps spread evenly over the scored split, chosen by their place in it and not by any result; first seed."""
    drives = Drives(traced.drives)
    runs = [traced.of_arm(arm)[0] for arm in traced.arms]
    predictions = {run.arm: Pack(run.metrics) for run in runs}
    tokens = predictions[runs[0].arm].index.column("keyframe")
    return [_draw_scan(drives, token, runs, predictions) for token in spread(tokens, NUM_SCANS)]


def spread(tokens: list[str], count: int) -> list[str]:
    """At most `count` of the tokens, from the middles of as many equal stretches."""
    count = min(count, len(tokens))
    return [tokens[(2 * i + 1) * len(tokens) // (2 * count)] for i in range(count)]


def _draw_scan(drives: Drives, token: str, runs: list[Run], predictions: dict[str, Pack]) -> Scan:
    truth_N = drives.lidarseg(token)
    scored_N = truth_N != IGNORE_CATEGORY
    points_N4 = drives.keyframe(token).points_N4[scored_N]
    scene = str(drives.column("scene")[token])
    alt = f"{scene} from above: each point in the colour of its hand label."
    truth = draw_in_palettes(
        lambda swatches: draw_birds_eye(points_N4, colour_table(swatches, first_id=1)[truth_N[scored_N]], alt),
        hand_classes(drives.artifact),
    )
    maps = []
    for run in runs:
        category_N = bytes_array(predictions[run.arm].head(token)["category.npy"])
        maps.append(_draw_errors(run.arm, scene, points_N4, (category_N == truth_N)[scored_N]))
    return Scan(scene, len(points_N4), int((~scored_N).sum()), truth, maps)


def _draw_errors(arm: str, scene: str, points_N4: NDArray[np.float32], right_N: NDArray[np.bool_]) -> ErrorMap:
    share = float(right_N.mean()) if right_N.size else None
    known = "no point is scored" if share is None else f"{100 * share:.1f} % of the points are right (grey)"
    alt = f"{scene} from above, errors when fine-tuned from {arm}: {known}, the others wrong (red)."
    return ErrorMap(arm, share, draw_birds_eye(points_N4, right_or_wrong(right_N), alt))
