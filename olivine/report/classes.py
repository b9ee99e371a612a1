"""How often each class occurs, and how pairs are weighted over range: what makes the task long-tailed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.packs import bytes_array
from olivine.report.colours import Swatch, hand_classes, weak_classes
from olivine.report.curves import Chart
from olivine.report.scans import spread
from olivine.report.svg import Series, line_chart
from olivine.report.trace import Trace

_MOST_KEYFRAMES = 400


@dataclass(frozen=True)
class Bars:
    """Counts of classes as bars on a logarithmic scale that starts at 1."""

    title: str
    unit: str
    rows: list[tuple[Swatch, int]]

    @property
    def decades(self) -> int:
        """Powers of ten that the scale spans."""
        return max(1, math.ceil(math.log10(max(1, *(count for _, count in self.rows)))))

    @property
    def total(self) -> int:
        """All counts together."""
        return sum(count for _, count in self.rows)

    def width(self, count: int) -> float:
        """Length of a bar in percent; 0 for a class that does not occur."""
        return 100 * math.log10(count) / self.decades if count else 0.0


def count_classes(traced: Trace) -> list[Bars]:
    """Labelled points of fine-tuning and of the scored split, and weak-label pairs, by class."""
    tuned, scored = traced.runs[0].segmenter, traced.runs[0].metrics
    categories = hand_classes(traced.drives)
    counts, title = _count_labelled(Drives(traced.drives), tuned.manifest.summary["keyframes"])
    confusion_CC = bytes_array(scored.read("confusion.npy"))
    bars = [
        Bars(title, "points", list(zip(categories, counts, strict=True))),
        Bars(
            f"hand labels that are scored ({scored.manifest.summary['split']})",
            "points",
            list(zip(categories, confusion_CC[1:].sum(axis=1).tolist(), strict=True)),
        ),
    ]
    labels = traced.of_kind("weak_labels")
    if labels:
        pairs = labels.manifest.summary["pairs_by_class"]
        kind = labels.manifest.summary["kind"]
        bars.append(Bars(f"weak labels ({kind})", "pairs", list(zip(weak_classes(labels), pairs, strict=True))))
    return bars


def _count_labelled(drives: Drives, tokens: Sequence[str]) -> tuple[list[int], str]:
    """Points of each class 1, 2, ... in the labelled keyframes, in an even sample of them where there are many."""
    chosen = spread(list(tokens), _MOST_KEYFRAMES)
    counts = np.zeros(drives.num_ids, np.int64)
    for token in chosen:
        counts += np.bincount(drives.lidarseg(token), minlength=drives.num_ids)
    sample = f", {len(chosen)} of {len(tokens)} keyframes" if len(chosen) < len(tokens) else ""
    return counts[1:].tolist(), f"hand labels that fine-tuning sees{sample}"


def draw_weights(density_weights: Artifact) -> list[Chart]:
    """Mean sampling weight of a pair over range, relative to uniform sampling, and how many pairs there are.

    Without weak categories no pair has a weight: then the pairs are drawn alone, and nothing where there are none.
    """
    ranges, relative, density = relative_weights(density_weights)
    if not ranges:
        return []
    pairs = line_chart(
        "pairs over range", [Series("pairs", "ink", ranges, density)], "range [m]", "pairs per metre", is_log=True
    )
    drawn = [Chart("density of pairs", pairs)]
    if not any(relative):
        return drawn
    weights = line_chart(
        "mean sampling weight over range",
        [Series("weight", "olivine", ranges, relative), Series("uniform", "reference", [0, ranges[-1]], [1, 1])],
        "range [m]",
        "weight, uniform = 1",
        is_log=True,
    )
    return [Chart("mean weight of a pair", weights), *drawn]


def relative_weights(density_weights: Artifact) -> tuple[list[float], list[float], list[float]]:
    """Range [m], mean weight of a pair (1 = as if sampled uniformly, 0 where no pair has any) and pairs per metre."""
    summary = density_weights.manifest.summary
    bin_m = float(summary["profile_bin_m"])
    profile = [((row + 0.5) * bin_m, weight, pairs) for row, (weight, pairs) in enumerate(summary["profile"]) if pairs]
    total_weight, total_pairs = (sum(row[column] for row in profile) for column in (1, 2))
    scale = total_pairs / total_weight if total_weight else 0.0
    relative = [weight / pairs * scale for _, weight, pairs in profile]
    return [row[0] for row in profile], relative, [pairs / bin_m for _, _, pairs in profile]
