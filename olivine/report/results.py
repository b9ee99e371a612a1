"""Pictures of the result itself: every seed of both arms, and which class is taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from olivine.drives.classes import class_names
from olivine.packs import bytes_array
from olivine.report.curves import Chart
from olivine.report.svg import Axis, figure_svg, format_tick, text
from olivine.report.table import percent
from olivine.report.trace import Trace

_CELL_PX, _NAME_PX = 17, 128


def draw_seeds(summary: dict[str, Any]) -> Markup:
    """A row for each seed: mIoU of both arms on one scale, joined."""
    seeds, arms = summary["seeds"], summary["arms"]
    known = [share for arm in arms.values() for share in arm["miou_by_seed"] if share is not None]
    if not known:
        return Markup('<p class="empty">No run has an mIoU.</p>')
    width, height = 460, 46 + 26 * len(seeds)
    low, high = 100 * min(known), 100 * max(known)
    margin = max((high - low) * 0.15, 0.5)
    axis = Axis(max(low - margin, 0.0), high + margin, 66, width - 14)
    parts = [
        f'<path class="axis" d="M66 {height - 34}H{width - 14}"/>',
        text(width / 2, height - 3, "mIoU [%]", "label"),
    ]
    for tick in axis.ticks():
        x = axis.place(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} 6V{height - 34}"/>{text(x, height - 19, format_tick(tick))}')
    for row, seed in enumerate(seeds):
        y = 20 + 26 * row
        places = [(name, arm["miou_by_seed"][row]) for name, arm in arms.items()]
        parts.append(text(58, y + 4, f"seed {seed}", anchor="end"))
        parts.append(_dumbbell([(name, share) for name, share in places if share is not None], axis, y))
    return figure_svg("mIoU of every seed in both arms", (width, height), parts)


def _dumbbell(places: list[tuple[str, float]], axis: Axis, y: float) -> str:
    xs = [axis.place(100 * share) for _, share in places]
    bar = f'<path class="join" d="M{min(xs):.1f} {y}H{max(xs):.1f}"/>' if xs else ""
    dots = "".join(
        f'<circle class="dot {escape(name)}" cx="{x:.1f}" cy="{y}" r="6">'
        f"<title>{escape(name)}: {percent(share)} %</title></circle>"
        for x, (name, share) in zip(xs, places, strict=True)
    )
    return bar + dots


def draw_confusions(traced: Trace) -> list[Chart]:
    """One heat map for each arm: of the points of a class (row), the share predicted as another (column); all seeds."""
    charts = []
    for arm in traced.arms:
        counts_CC = sum(bytes_array(run.metrics.read("confusion.npy"))[1:, 1:] for run in traced.of_arm(arm))
        title = f"Confusion matrix, fine-tuned from {arm}"
        names = list(class_names(traced.drives.manifest))
        counts_CC = np.asarray(counts_CC, np.int64)
        charts.append(
            Chart(
                arm,
                heat_map(title, counts_CC, (names, names), np.eye(len(names), dtype=bool), ("predicted as", "points")),
            )
        )
    return charts


def heat_map(
    title: str,
    counts_RC: NDArray[np.int64],
    names: tuple[list[str], list[str]],
    right_RC: NDArray[np.bool_],
    words: tuple[str, str],
) -> Markup:
    """Of each row the share in each column. `names` of rows and of columns; `words` for `row WORD column` and a unit;
    `right_RC`: cells that are as they should be.
    """
    width, height = _NAME_PX + len(names[1]) * _CELL_PX + 6, 6 + len(names[0]) * _CELL_PX + _NAME_PX
    parts = []
    for row, true in enumerate(names[0]):
        y = 6 + row * _CELL_PX
        parts.append(text(_NAME_PX - 6, y + 12, true, anchor="end"))
        total = int(counts_RC[row].sum())
        for column, predicted in enumerate(names[1]):
            share = counts_RC[row, column] / total if total else 0.0
            what = f"{true} {words[0]} {predicted}: {100 * share:.1f} % of {total} {words[1]}"
            style = "right" if right_RC[row, column] else "wrong"
            # A square root lets small shares be seen; below half a percent there is nothing to see.
            opacity = share**0.5 if share >= 0.005 else 0.0
            parts.append(_cell(_NAME_PX + column * _CELL_PX, y, style, opacity, what))
    bottom = 6 + len(names[0]) * _CELL_PX + 8
    for column, name in enumerate(names[1]):
        x = _NAME_PX + (column + 0.7) * _CELL_PX
        parts.append(text(x, bottom, name, anchor="end", extra=f' transform="rotate(-60 {x:.1f} {bottom})"'))
    return figure_svg(title, (width, height), parts)


def _cell(x: float, y: float, style: str, opacity: float, what: str) -> str:
    return (
        f'<g class="cell {style}"><title>{escape(what)}</title>'
        f'<rect class="empty" x="{x}" y="{y}" width="{_CELL_PX - 1}" height="{_CELL_PX - 1}"/>'
        f'<rect x="{x}" y="{y}" width="{_CELL_PX - 1}" height="{_CELL_PX - 1}" fill-opacity="{opacity:.3f}"/></g>'
    )
