"""Pairs over range and over classes, before and after weighting (paper section 3.4 and table 6d)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from olivine.artifacts import Artifact
from olivine.packs import Pack, bytes_array
from olivine.report.colours import Swatch, weak_classes
from olivine.report.figures.charts import Bar, bar_chart
from olivine.report.figures.figure import Figure, Panel, described, origin_facts
from olivine.report.scans import spread
from olivine.report.svg import Series, line_chart

_MOST_KEYFRAMES = 400
_BEFORE, _AFTER = ("#5d7392", (93, 115, 146)), ("#74871a", (116, 135, 26))


def draw_density(drives: Artifact, weak_labels: Artifact, density_weights: Artifact) -> Figure:
    """Where pairs lie, and where those lie that are drawn by weight: over range, and by weak class."""
    variant = density_weights.manifest.summary["variant"]
    pack = Pack(density_weights)
    tokens = spread(pack.index.column("keyframe"), _MOST_KEYFRAMES)
    return Figure(
        name="density",
        title="Pairs before and after weighting",
        caption="Before: all pairs, as if drawn uniformly. After: the pairs that the category-aware loss draws, by "
        f"weight (variant {variant}). The better the weights level out range and class, the flatter is the line "
        "and the more equal are the bars.",
        panels=[
            Panel(
                "Over range",
                _draw_range(density_weights),
                f"Share of pairs per metre, in bins of {density_weights.manifest.summary['profile_bin_m']:g} m, "
                "logarithmic; over all weighed keyframes.",
            ),
            Panel(
                "By weak class",
                _draw_classes(pack, tokens, weak_classes(weak_labels)),
                f"Share of labelled pairs; {len(tokens)} of {density_weights.manifest.counts['keyframes']} keyframes.",
            ),
        ],
        legend=[Swatch("before: all pairs", _BEFORE[1]), Swatch("after: drawn by weight", _AFTER[1])],
        facts=[*origin_facts(drives, weak_labels), f"{described(weak_labels)}, {described(density_weights)}."],
    )


def _draw_range(density_weights: Artifact) -> Markup:
    summary = density_weights.manifest.summary
    profile_B2 = np.array(summary["profile"], np.float64).reshape(-1, 2)
    ranges = ((np.arange(len(profile_B2)) + 0.5) * float(summary["profile_bin_m"])).tolist()
    # Pairs without a weak label weigh nothing; their places are in the sum before all the same.
    after_B, before_B = (_percent_per_metre(profile_B2[:, column], summary["profile_bin_m"]) for column in (0, 1))
    lines = [Series("before", "random", ranges, before_B), Series("after", "olivine", ranges, after_B)]
    return line_chart("pairs over range", lines, "range [m]", "% of pairs per metre", is_log=True)


def _percent_per_metre(value_B: NDArray[np.float64], bin_m: float) -> list[float]:
    total = value_B.sum()
    return [float(100 * value / total / bin_m) if total else 0.0 for value in value_B]


def _draw_classes(pack: Pack, tokens: Sequence[str], swatches: Sequence[Swatch]) -> Markup:
    before_C, after_C = np.zeros(256), np.zeros(256)
    for token in tokens:
        head = pack.head(token)
        label_M, weight_M = bytes_array(head["pair_label.npy"]), bytes_array(head["pair_weight.npy"])
        before_C += np.bincount(label_M, minlength=256)
        after_C += np.bincount(label_M, weight_M, minlength=256)
    rows = []
    for id, swatch in enumerate(swatches):
        shares = [
            100 * float(count_C[id] / total) if (total := count_C[: len(swatches)].sum()) else 0.0
            for count_C in (before_C, after_C)
        ]
        bars = [
            Bar(share, colour, f"{share:.3g} %", f"{swatch.name} {when}")
            for share, (colour, _), when in zip(shares, (_BEFORE, _AFTER), ("before", "after"), strict=True)
        ]
        rows.append((swatch.name, bars))
    return bar_chart("share of pairs by weak class", rows, "% of labelled pairs")
