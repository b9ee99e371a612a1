"""Charts as inline SVG: sharp at any size, coloured by the page's style sheet, readable without a script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 10, 40


@dataclass(frozen=True)
class Series:
    """One line of a chart. `style` is a class of the style sheet; `name` is what a reader hears or sees on it."""

    name: str
    style: str
    xs: Sequence[float]
    ys: Sequence[float]
    markers: bool = False


@dataclass(frozen=True)
class Axis:
    """One direction of a chart: values from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (math.log10(v) for v in (self.low, self.high, value)) if self.is_log else self._plain(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values on the axis: powers of ten on a logarithmic one, else about five steps of 1, 2 or 5."""
        if self.is_log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers]
        step = _round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def _plain(self, value: float) -> tuple[float, float, float]:
        return self.low, self.high, value


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    is_log: bool = False,
    from_zero: bool = False,
    size: tuple[int, int] = (470, 250),
) -> Markup:
    """Lines over a common x axis; points that are not finite (or not positive on a logarithmic axis) are left out."""
    kept = [_keep_drawable(line, is_log) for line in series]
    width, height = size
    xs, ys = ([value for line in kept for value in getattr(line, name)] for name in ("xs", "ys"))
    if not xs:
        return Markup('<p class="empty">Nothing to draw: no finite value.</p>')
    x_axis = Axis(*_span(xs, widen=False), _LEFT, width - _RIGHT)
    y_axis = Axis(*_log_span(ys) if is_log else _span([*ys, 0.0] if from_zero else ys), height - _BOTTOM, _TOP, is_log)
    parts = [_grid(x_axis, y_axis, size), _axis_labels(x_label, y_label, size)]
    parts += [_line(line, x_axis, y_axis) for line in kept]
    return figure_svg(title, size, parts)


def figure_svg(title: str, size: tuple[float, float], parts: Iterable[str]) -> Markup:
    """An SVG element of that size in user units which scales with the page and bears its title for screen readers."""
    width, height = size
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _number(width), _number(height), title, Markup("").join(Markup(part) for part in parts)
    )


def text(x: float, y: float, content: str, style: str = "tick", anchor: str = "middle", extra: str = "") -> str:
    """A line of text; `extra` are further attributes, trusted."""
    place = f'x="{_number(x)}" y="{_number(y)}"'
    return f'<text {place} class="{style}" text-anchor="{anchor}"{extra}>{escape(content)}</text>'


def format_tick(value: float) -> str:
    """A short number: 0.05, 20, 1.5k, 2M."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{suffix}"
    return f"{value:.4g}"


def bin_means(xs: Sequence[float], ys: Sequence[float], num_bins: int = 120) -> tuple[list[float], list[float]]:
    """Means over at most `num_bins` runs of neighbours, so that a long history stays a small and readable line."""
    size = math.ceil(len(xs) / num_bins) if xs else 1
    starts = range(0, len(xs), size)
    means = [[sum(values[i : i + size]) / len(values[i : i + size]) for i in starts] for values in (xs, ys)]
    return means[0], means[1]


def _keep_drawable(line: Series, is_log: bool) -> Series:
    pairs = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if math.isfinite(y) and (y > 0 or not is_log)]
    return Series(line.name, line.style, [x for x, _ in pairs], [y for _, y in pairs], line.markers)


def _span(values: Sequence[float], widen: bool = True) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    if not widen:
        return low, high
    step = _round_step((high - low) / 5)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _log_span(values: Sequence[float]) -> tuple[float, float]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if step <= factor * power * (1 + 1e-9))


def _grid(x_axis: Axis, y_axis: Axis, size: tuple[int, int]) -> str:
    width, height = size
    parts = []
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {_number(y)}H{width - _RIGHT}"/>')
        parts.append(text(_LEFT - 6, y + 4, format_tick(tick), anchor="end"))
    for tick in x_axis.ticks():
        x = x_axis.place(tick)
        parts.append(f'<path class="axis" d="M{_number(x)} {height - _BOTTOM}v4"/>')
        parts.append(text(x, height - _BOTTOM + 17, format_tick(tick)))
    parts.append(f'<path class="axis" d="M{_LEFT} {height - _BOTTOM}H{width - _RIGHT}"/>')
    return "".join(parts)


def _axis_labels(x_label: str, y_label: str, size: tuple[int, int]) -> str:
    width, height = size
    x, y = (_LEFT + width - _RIGHT) / 2, (_TOP + height - _BOTTOM) / 2
    turned = f' transform="rotate(-90 12 {_number(y)})"'
    return text(x, height - 5, x_label, "label") + text(12, y, y_label, "label", extra=turned)


def _line(line: Series, x_axis: Axis, y_axis: Axis) -> str:
    places = [(x_axis.place(x), y_axis.place(y)) for x, y in zip(line.xs, line.ys, strict=True)]
    points = " ".join(f"{_number(x)},{_number(y)}" for x, y in places)
    # A line of one point would not show at all.
    dots = places if line.markers or len(places) == 1 else []
    marks = "".join(f'<circle cx="{_number(x)}" cy="{_number(y)}" r="3"/>' for x, y in dots)
    return f'<g class="line {line.style}"><title>{escape(line.name)}</title><polyline points="{points}"/>{marks}</g>'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
