"""How often each class occurs, in hand-labelled points and in weak labels of pairs and pixels (paper, figures 5, 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import DataError
from olivine.report.colours import Swatch, hand_classes, recolour, weak_classes
from olivine.report.figures.charts import Bar, bar_chart
from olivine.report.figures.figure import Figure, Panel, described, origin_facts
from olivine.report.palette import Palette
from olivine.report.scans import spread

_MOST_KEYFRAMES = 400


def draw_distribution(drives_artifact: Artifact, weak_labels: Artifact | None, palette: Palette) -> Figure:
    """Counts of classes as logarithmic bars: hand labels of `train`, and weak labels where they are given.

    Raises:
        DataError: neither has any.
    """
    panels = _hand_labels(drives_artifact, palette) + (_weak_labels(weak_labels, palette) if weak_labels else [])
    if not panels:
        raise DataError(
            f"{described(drives_artifact)}: no train keyframe has hand labels. Give --weak-labels to count those."
        )
    sources = [described(artifact) for artifact in (drives_artifact, weak_labels) if artifact]
    return Figure(
        name="class-distribution",
        title="How often each class occurs",
        caption="Logarithmic bars that start at 1; every vertical line is a factor of ten. The share of all labelled "
        "points, pairs or pixels stands behind each bar.",
        panels=panels,
        facts=[*origin_facts(drives_artifact, weak_labels), f"{', '.join(sources)}."],
        columns=len(panels),
    )


def _hand_labels(drives_artifact: Artifact, palette: Palette) -> list[Panel]:
    drives, swatches = Drives(drives_artifact), recolour(hand_classes(drives_artifact), palette)
    labelled = [token for token in drives.tokens("train") if drives.has_lidarseg(token)]
    chosen = spread(labelled, _MOST_KEYFRAMES)
    if not chosen:
        return []
    counts = np.zeros(len(swatches) + 1, np.int64)
    for token in chosen:
        counts += np.bincount(drives.lidarseg(token), minlength=len(swatches) + 1)
    note = f"Points with a hand label in {len(chosen)} of {len(labelled)} train keyframes."
    return [_panel("points", swatches, counts[1:].tolist(), note)]


def _weak_labels(weak_labels: Artifact, palette: Palette) -> list[Panel]:
    summary, swatches = weak_labels.manifest.summary, recolour(weak_classes(weak_labels), palette)
    note = f"Weak labels of all {weak_labels.manifest.counts['pairs']} pairs."
    panels = [_panel("pairs", swatches, summary["pairs_by_class"], note)]
    # Labelers that know points alone, and labels of the first release, have no pixels.
    pixels = summary.get("pixels_by_class", [])
    if sum(pixels):
        panels.append(_panel("pixels", swatches, pixels, "Weak labels of all pixels of the labelled images."))
    return panels


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
