"""Pictures of the result itself: every seed of both arms, and which class is taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup, escape

from olivine.nuscenes_categories import CATEGORY_NAMES, NUM_CATEGORIES
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
        charts.append(Chart(arm, _heat_map(np.asarray(counts_CC, np.int64), arm)))
    return charts


def _heat_map(counts_CC: np.ndarray[Any, np.dtype[np.int64]], arm: str) -> Markup:
    width, height = _NAME_PX + NUM_CATEGORIES * _CELL_PX + 6, 6 + NUM_CATEGORIES * _CELL_PX + _NAME_PX
    parts = []
    for row, true in enumerate(CATEGORY_NAMES):
        y = 6 + row * _CELL_PX
        parts.append(text(_NAME_PX - 6, y + 12, true, anchor="end"))
        total = int(counts_CC[row].sum())
        for column, predicted in enumerate(CATEGORY_NAMES):
            share = counts_CC[row, column] / total if total else 0.0
            what = f"{true} predicted as {predicted}: {100 * share:.1f} % of {total} points"
            style = "right" if row == column else "wrong"
            # A square root lets small shares be seen; below half a percent there is nothing to see.
            opacity = share**0.5 if share >= 0.005 else 0.0
            parts.append(_cell(_NAME_PX + column * _CELL_PX, y, style, opacity, what))
    bottom = 6 + NUM_CATEGORIES * _CELL_PX + 8
    for column, name in enumerate(CATEGORY_NAMES):
        x = _NAME_PX + (column + 0.7) * _CELL_PX
        parts.append(text(x, bottom, name, anchor="end", extra=f' transform="rotate(-60 {x:.1f} {bottom})"'))
    return figure_svg(f"Confusion matrix, fine-tuned from {arm}", (width, height), parts)


def _cell(x: float, y: float, style: str, opacity: float, what: str) -> str:
    return (
        f'<g class="cell {style}"><title>{escape(what)}</title>'
        f'<rect class="empty" x="{x}" y="{y}" width="{_CELL_PX - 1}" height="{_CELL_PX - 1}"/>'
        f'<rect x="{x}" y="{y}" width="{_CELL_PX - 1}" height="{_CELL_PX - 1}" fill-opacity="{opacity:.3f}"/></g>'
    )
