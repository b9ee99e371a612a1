"""How often each class occurs, in hand-labelled points and in weak labels of pairs and pixels (paper, figures 5, 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.nuscenes_categories import NUM_CATEGORIES
from olivine.report.colours import CATEGORIES, Swatch, weak_classes
from olivine.report.figures.charts import Bar, bar_chart
from olivine.report.figures.figure import Figure, Panel, described, origin_facts
from olivine.report.figures.palette import Palette, recolour
from olivine.report.scans import spread

_MOST_KEYFRAMES = 400


def draw_distribution(drives_artifact: Artifact, weak_labels: Artifact, palette: Palette) -> Figure:
    """Counts of classes as logarithmic bars. Hand labels are those of `train`; without any their panel is not there."""
    summary, weak = weak_labels.manifest.summary, recolour(weak_classes(weak_labels), palette)
    panels = []
    drives = Drives(drives_artifact)
    labelled = [token for token in drives.tokens("train") if drives.has_lidarseg(token)]
    if labelled:
        chosen = spread(labelled, _MOST_KEYFRAMES)
        counts = _count_points(drives, chosen)
        note = f"Points with a hand label in {len(chosen)} of {len(labelled)} train keyframes."
        panels.append(_panel("points", recolour(CATEGORIES, palette), counts.tolist(), note))
    pairs = summary["pairs_by_class"]
    panels.append(_panel("pairs", weak, pairs, f"Weak labels of all {weak_labels.manifest.counts['pairs']} pairs."))
    # Labelers that know points alone, and labels of the first release, have none.
    pixels = summary.get("pixels_by_class", [])
    if sum(pixels):
        panels.append(_panel("pixels", weak, pixels, "Weak labels of all pixels of the labelled images."))
    return Figure(
        name="class-distribution",
        title="How often each class occurs",
        caption="Logarithmic bars that start at 1; every vertical line is a factor of ten. The share of all labelled "
        "points, pairs or pixels stands behind each bar.",
        panels=panels,
        facts=[*origin_facts(drives_artifact, weak_labels), f"{described(drives_artifact)}, {described(weak_labels)}."],
        columns=len(panels),
    )


def _panel(unit: str, swatches: Sequence[Swatch], counts: Sequence[int], note: str) -> Panel:
    total = sum(counts)
    rows = [
        (swatch.name, [Bar(float(count), swatch.css, _shown(count, total), swatch.name)])
        for swatch, count in zip(swatches, counts, strict=True)
    ]
    return Panel(f"{unit.capitalize()} by class", bar_chart(f"{unit} by class", rows, unit, is_log=True), note)


def _shown(count: int, total: int) -> str:
    share = 100 * count / total if total else 0.0
    return "none" if not count else "< 0.01 %" if share < 0.01 else f"{share:.3g} %"


def _count_points(drives: Drives, tokens: Sequence[str]) -> NDArray[np.int64]:
    counts = np.zeros(NUM_CATEGORIES + 1, np.int64)
    for token in tokens:
        counts += np.bincount(drives.lidarseg(token), minlength=NUM_CATEGORIES + 1)
    return counts[1:]
