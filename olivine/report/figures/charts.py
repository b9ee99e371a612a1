"""Charts that the figures share: horizontal bars in groups, and points in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from olivine.report.colours import Swatch
from olivine.report.svg import Axis, figure_svg, format_tick, text

_NAME_PX, _WIDTH_PX, _BAR_PX, _VALUE_PX, _FOOT_PX = 148, 490, 9, 56, 38
_DOT_PX = 2.1
_ARM_COLOURS = ("#5d7392", "#74871a", "#a8622a", "#8a4f7d", "#2c7f83", "#b0413e")


@dataclass(frozen=True)
class Bar:
    """One bar: its length, its colour as a style sheet writes it, and what a reader sees beside and hears on it."""

    value: float | None
    colour: str
    shown: str
    name: str = ""


def arm_colour(place: int) -> str:
    """Colour of the arm at that place: the first two are those of the report."""
    return _ARM_COLOURS[place % len(_ARM_COLOURS)]


def bar_chart(title: str, rows: Sequence[tuple[str, Sequence[Bar]]], label: str, *, is_log: bool = False) -> Markup:
    """A group of bars for each row, from 0, or from 1 on a logarithmic axis. Without a value it is text alone."""
    known = [bar.value for _, bars in rows for bar in bars if bar.value is not None]
    if not known:
        return Markup('<p class="empty">Nothing to draw: no value.</p>')
    high = max(max(known), 10.0 if is_log else 1e-9)
    axis = Axis(1.0 if is_log else 0.0, high, _NAME_PX, _WIDTH_PX - _VALUE_PX, is_log)
    heights = [len(bars) * (_BAR_PX + 2) + 7 for _, bars in rows]
    bottom = 6 + sum(heights)
    parts = []
    for tick in axis.ticks():
        x = axis.place(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} 4V{bottom}"/>{text(x, bottom + 15, format_tick(tick))}')
    y = 6.0
    for (name, bars), height in zip(rows, heights, strict=True):
        parts.append(text(_NAME_PX - 7, y + height / 2 + 1, name, anchor="end"))
        parts += [_bar(bar, axis, y + row * (_BAR_PX + 2)) for row, bar in enumerate(bars)]
        y += height
    parts.append(f'<path class="axis" d="M{_NAME_PX} 4V{bottom}"/>')
    parts.append(text((_NAME_PX + _WIDTH_PX - _VALUE_PX) / 2, bottom + _FOOT_PX - 5, label, "label"))
    return figure_svg(title, (_WIDTH_PX, bottom + _FOOT_PX), parts)


def _bar(bar: Bar, axis: Axis, y: float) -> str:
    length = 0.0
    if bar.value is not None and bar.value > (1 if axis.is_log else 0):
        length = axis.place(bar.value) - axis.start
    size = f'x="{_NAME_PX}" y="{y:.1f}" width="{length:.2f}" height="{_BAR_PX}"'
    shape = f'<rect {size} fill="{bar.colour}" stroke="#8888" stroke-width="0.5"/>' if length else ""
    value = text(_NAME_PX + length + 4, y + _BAR_PX - 0.5, bar.shown, "tick", "start", ' style="font-size:10px"')
    return f"<g><title>{escape(f'{bar.name}: {bar.shown}')}</title>{shape}{value}</g>"


def scatter_chart(title: str, place_S2: NDArray[np.float64], swatch_S: Sequence[Swatch]) -> Markup:
    """Points in a square; both axes have one scale, and no ticks: only nearness means something."""
    size, margin = 470.0, 12.0
    low_2, high_2 = place_S2.min(axis=0), place_S2.max(axis=0)
    span = float((high_2 - low_2).max()) or 1.0
    middle_2 = (low_2 + high_2) / 2
    at_S2 = (place_S2 - middle_2) * ((size - 2 * margin) / span) * np.array([1, -1]) + size / 2
    parts = [f'<rect class="grid" x="1" y="1" width="{size - 2:g}" height="{size - 2:g}"/>']
    for swatch in dict.fromkeys(swatch_S):
        mine = [place for place, other in enumerate(swatch_S) if other == swatch]
        dots = "".join(f'<circle cx="{at_S2[i, 0]:.1f}" cy="{at_S2[i, 1]:.1f}" r="{_DOT_PX}"/>' for i in mine)
        # A drawing that stands alone has no style sheet that could choose.
        both = f' class="hue" style="{swatch.style}"' if swatch.safe else ""
        parts.append(f'<g fill="{swatch.css}"{both}><title>{escape(swatch.name)}</title>{dots}</g>')
    return figure_svg(title, (size, size), parts)
