from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivine.report.svg import Axis, Series, bin_means, format_tick, line_chart

finite = st.floats(-1e6, 1e6)


def polylines(svg: str) -> list[list[tuple[float, float]]]:
    lines = ET.fromstring(svg).iter("polyline")
    return [[(float(x), float(y)) for x, y in (p.split(",") for p in line.attrib["points"].split())] for line in lines]


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=30))
def test_every_point_lies_inside_the_picture(points: list[tuple[float, float]]):
    xs, ys = zip(*points, strict=True)
    [line] = polylines(line_chart("a chart", [Series("a", "olivine", xs, ys)], "x", "y", size=(400, 200)))
    assert len(line) == len(points)
    assert all(0 <= x <= 400 and 0 <= y <= 200 for x, y in line)


@given(st.lists(st.floats(1e-9, 1e9), min_size=2, max_size=30))
def test_greater_values_are_higher_on_a_logarithmic_axis_too(ys: list[float]):
    [line] = polylines(line_chart("a chart", [Series("a", "olivine", range(len(ys)), ys)], "x", "y", is_log=True))
    heights = sorted(zip(ys, (-y for _, y in line), strict=True))
    assert all(b[1] >= a[1] - 0.011 for a, b in itertools.pairwise(heights))


def test_what_cannot_be_drawn_is_left_out():
    series = [Series("a", "olivine", [0, 1, 2, 3], [1.0, math.nan, 0.0, 10.0])]
    assert [len(line) for line in polylines(line_chart("a chart", series, "x", "y"))] == [3]
    assert [len(line) for line in polylines(line_chart("a chart", series, "x", "y", is_log=True))] == [2]
    assert "Nothing to draw" in line_chart("a chart", [Series("a", "olivine", [0], [math.inf])], "x", "y")


def test_names_are_text_and_not_markup():
    svg = line_chart('"<b>', [Series("<script>", "olivine", [0, 1], [1, 2])], "<x>", "&y")
    root = ET.fromstring(svg)
    assert root.attrib["aria-label"] == '"<b>'
    assert "<script>" in [element.text for element in root.iter("title")]
    assert {"<x>", "&y"} <= {element.text for element in root.iter("text")}


def test_a_single_point_is_a_dot():
    assert len(list(ET.fromstring(line_chart("c", [Series("a", "b", [5], [5])], "x", "y")).iter("circle"))) == 1


@given(finite, st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low: float, width: float):
    ticks = Axis(low, low + width, 0, 100).ticks()
    assert 2 <= len(ticks) <= 11
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "0.05"), (20.0, "20"), (1500, "1.5k"), (2e6, "2M"), (0.1 + 0.2, "0.3"), (0, "0")]
)
def test_ticks_are_short(value: float, text: str):
    assert format_tick(value) == text


def test_long_histories_are_drawn_as_means_of_neighbours():
    xs, ys = bin_means(list(range(1000)), [2.0 * x for x in range(1000)], num_bins=100)
    assert len(xs) == 100
    assert (xs[0], ys[0]) == (4.5, 9.0)
    assert bin_means([1, 2], [3, 4]) == ([1, 2], [3, 4])
    assert bin_means([], []) == ([], [])
