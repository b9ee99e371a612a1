from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from olivine.report.colours import CATEGORIES, Swatch, recolour
from olivine.report.figures.charts import Bar, arm_colour, bar_chart, scatter_chart


def bar_lengths(svg: str) -> list[float]:
    return [float(width) for width in re.findall(r'<rect x="148" [^>]*?width="([\d.]+)"', svg)]


def test_bars_are_as_long_as_their_values():
    bars = [Bar(value, "#123456", f"{value}", "name") for value in (10.0, 5.0, 2.5)]
    long, half, quarter = bar_lengths(bar_chart("title", [("row", bars)], "unit"))
    assert long == pytest.approx(490 - 148 - 56)
    assert (half, quarter) == (pytest.approx(long / 2, abs=0.01), pytest.approx(long / 4, abs=0.01))


def test_logarithmic_bars_start_at_one():
    rows = [("row", [Bar(value, "#123456", "", "") for value in (1000.0, 10.0, 1.0, 0.0)])]
    thousand, ten = bar_lengths(bar_chart("title", rows, "unit", is_log=True))
    assert ten == pytest.approx(thousand / 3, abs=0.01)


def test_a_bar_without_a_value_is_text():
    svg = bar_chart(
        "title", [("row", [Bar(None, "#123456", "not drawn", "this"), Bar(1.0, "#123456", "1", "that")])], "unit"
    )
    assert len(bar_lengths(svg)) == 1
    assert ">not drawn<" in svg
    assert "Nothing to draw" in bar_chart("title", [("row", [Bar(None, "#123456", "-")])], "unit")


def test_zeros_alone_are_a_chart():
    assert bar_lengths(bar_chart("title", [("row", [Bar(0.0, "#123456", "0", "")])], "unit")) == []


def test_names_are_never_markup():
    hostile = '"><script>alert(1)</script>'
    bars = bar_chart(hostile, [(hostile, [Bar(1.0, "#123456", hostile, hostile)])], hostile)
    dots = scatter_chart(hostile, np.eye(2), [Swatch(hostile, (1, 2, 3))] * 2)
    for svg in (bars, dots):
        assert [element.tag for element in ElementTree.fromstring(str(svg)).iter("script")] == []
        assert "<script" not in svg


def test_both_axes_of_a_plane_have_one_scale():
    place = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]])
    svg = str(scatter_chart("plane", place, CATEGORIES[:3]))
    at = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert at[1][0] - at[0][0] == pytest.approx(2 * (at[0][1] - at[2][1]), abs=0.2)
    assert all(0 <= value <= 470 for point in at for value in point)


def test_one_place_for_all_is_no_division_by_zero():
    svg = str(scatter_chart("plane", np.zeros((2, 2)), CATEGORIES[:1] * 2))
    assert svg.count('cx="235.0" cy="235.0"') == 2


def test_dots_of_a_drawing_that_stands_alone_have_one_colour():
    [one] = recolour(CATEGORIES[:1], "safe")
    assert f'<g fill="{one.css}"><title>' in scatter_chart("plane", np.zeros((1, 2)), [one])
    assert f'class="hue" style="{CATEGORIES[0].style}"' in scatter_chart("plane", np.zeros((1, 2)), CATEGORIES[:1])


def test_arms_keep_the_colours_of_the_report():
    assert (arm_colour(0), arm_colour(1)) == ("#5d7392", "#74871a")
    assert arm_colour(6) == arm_colour(0)
