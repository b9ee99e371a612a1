"""A figure as a page and as a drawing: whole, escaped, the same bytes each time."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from olivine.errors import UsageError
from olivine.report.birds_eye import encode_png
from olivine.report.colours import Swatch
from olivine.report.figures.charts import Bar, bar_chart
from olivine.report.figures.figure import Figure, Panel, Table
from olivine.report.figures.write import render_page, render_svg, write_figure
from olivine.report.svg import figure_svg

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>"
SVG = "{http://www.w3.org/2000/svg}"


def make(words: str = "a few words", columns: int = 2) -> Figure:
    picture = encode_png(Image.fromarray(np.zeros((20, 30, 3), np.uint8)), words)
    chart = bar_chart(words, [(words, [Bar(1.0, "#123456", words, words)])], words)
    return Figure(
        name=words,
        title=words,
        caption=words,
        panels=[Panel(words, picture, words), Panel(words, chart), Panel(words, Markup('<p class="empty">None.</p>'))],
        legend=[Swatch(words, (1, 2, 3))],
        facts=[words],
        tables=[Table(words, (words, words), [(words, words)])],
        columns=columns,
    )


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"])


def test_words_are_never_markup():
    page = Tags(render_page(make(HOSTILE)))
    assert "script" not in page.tags
    assert len(page.images) == 1
    assert (page.images[0] or "").startswith("data:image/png")
    drawing = ElementTree.fromstring(render_svg(make(HOSTILE)))
    assert list(drawing.iter(f"{SVG}script")) == []
    assert list(drawing.iter(f"{SVG}img")) == []


def test_a_page_runs_no_script_and_fetches_nothing():
    page = render_page(make())
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_a_drawing_holds_everything_inside(columns: int):
    drawing = ElementTree.fromstring(render_svg(make(columns=columns)))
    left, top, width, height = (float(value) for value in drawing.attrib["viewBox"].split())
    assert len(list(drawing.iter(f"{SVG}image"))) == 1
    placed = [item for item in drawing if item.tag in (f"{SVG}svg", f"{SVG}image")]
    assert len(placed) == 2
    for item in placed:
        x, y, w, h = (float(item.attrib[name]) for name in ("x", "y", "width", "height"))
        assert left <= x
        assert x + w <= left + width
        assert top <= y
        assert y + h <= top + height
    assert "None." in "".join(drawing.itertext())


@pytest.mark.parametrize("columns", [1, 2])
def test_a_figure_without_panels_is_a_page_alone(columns: int, tmp_path: Path):
    figure = Figure("cost", "Cost", "words", [], tables=[Table("costs", ("of",), [("nothing",)])], columns=columns)
    assert "nothing" in write_figure(figure, tmp_path / "cost.html").read_text()
    with pytest.raises(UsageError, match=r"the figure cost has nothing to draw here, only text: write it as \.html"):
        write_figure(figure, tmp_path / "cost.svg")
    assert not (tmp_path / "cost.svg").exists()


def test_a_wide_drawing_alone_keeps_its_size():
    wide = Figure("wide", "Wide", "", [Panel("wide", figure_svg("wide", (1100, 300), []))], columns=1)
    drawing = ElementTree.fromstring(render_svg(wide))
    [placed] = drawing.findall(f"{SVG}svg")
    assert (placed.attrib["width"], placed.attrib["height"]) == ("1100", "300.00")
    assert "min-width:880px;max-width:1650px" in render_page(wide)
    assert "min-width:0px" in render_page(make())


@pytest.mark.parametrize("suffix", [".html", ".svg"])
def test_the_same_figure_gives_the_same_bytes(suffix: str, tmp_path: Path):
    first, second = (write_figure(make(), tmp_path / name / f"figure{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize("name", ["figure.png", "figure", "figure.SVG"])
def test_other_formats_are_refused(name: str, tmp_path: Path):
    with pytest.raises(UsageError, match=r"\.html \(a page\) or \.svg"):
        write_figure(make(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
