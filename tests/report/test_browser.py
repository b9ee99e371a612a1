"""The page in a real browser: everything is drawn, nothing is fetched, and nothing complains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from comparison import Compared

from olivine.nuscenes_categories import CATEGORY_COLORS, CATEGORY_NAMES
from olivine.report.page import write_report
from olivine.report.palette import SAFE_COLORS
from olivine.report.summary import summarise
from olivine.report.table import percent, points


@dataclass
class Opened:
    """A page in the browser, what it complained of, and what it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def file(compared: Compared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(compared.store, compared.all, out, "Both arms in a browser")


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Opened]:
    page = browser.new_page(viewport={"width": 1300, "height": 900}, color_scheme="light")
    result = Opened(page)
    page.on("console", lambda message: result.complaints.append(message.text))
    page.on("pageerror", lambda error: result.complaints.append(str(error)))
    page.on("request", lambda request: result.requests.append(request.url))
    page.goto(file.as_uri())
    yield result
    page.close()


def test_nothing_complains_and_nothing_is_fetched(opened: Opened, file: Path):
    assert opened.page.title() == "Both arms in a browser"
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [file.as_uri()]


def test_every_picture_is_drawn(opened: Opened):
    sizes = opened.page.eval_on_selector_all("img", "all => all.map(i => [i.complete, i.naturalWidth, i.alt.length])")
    # Hand labels, in two sweeps and an image, and weak labels, in two images and a sweep, in a second palette too.
    assert len(sizes) == 2 * 3 + 3 + 2 * 2 + 2 + 2 + 1 + 2 + 1
    assert all(complete and width > 0 and alt > 0 for complete, width, alt in sizes)
    boxes = opened.page.eval_on_selector_all(
        "main section > figure svg, .columns svg", "all => all.map(s => s.getBBox().width)"
    )
    assert len(boxes) >= 9
    opened.page.click("details summary")
    heat_map = opened.page.locator("details svg").first.bounding_box()
    assert heat_map["width"] > 200


def test_the_table_shows_the_summary(opened: Opened, compared: Compared):
    summary = summarise(compared.store, compared.all)
    rows = [row.split("\t") for row in opened.page.inner_text("#headline tbody").splitlines()]
    shown = [[cell.strip() for cell in row] for row in rows]
    arms = summary["arms"]
    expected = [[name, percent(arm["miou"]), *map(percent, arm["miou_by_seed"])] for name, arm in arms.items()]
    assert shown[:2] == expected
    assert shown[2][:2] == ["difference", points(summary["paired_gain"]["mean"])]
    assert opened.page.locator("#per-class tbody tr").count() == 16


def test_the_keyboard_changes_the_palette_of_all_classes(opened: Opened):
    car = CATEGORY_NAMES.index("car")
    official, safe = (f"rgb({', '.join(map(str, rgb[car]))})" for rgb in (CATEGORY_COLORS, SAFE_COLORS))
    assert colours_of_cars(opened.page) == {official}
    assert shown(opened.page, "img.official") == opened.page.locator("img.official").count() == 6
    assert shown(opened.page, "img.safe") == 0
    opened.page.focus("input[value=official]")
    opened.page.keyboard.press("ArrowRight")
    assert colours_of_cars(opened.page) == {safe}
    assert shown(opened.page, "img.official") == 0
    assert shown(opened.page, "img.safe") == opened.page.locator("img.safe").count() == 6
    opened.page.keyboard.press("ArrowLeft")
    assert colours_of_cars(opened.page) == {official}


def test_the_page_remembers_no_palette(opened: Opened):
    opened.page.check("input[value=safe]")
    opened.page.reload()
    assert opened.page.is_checked("input[value=official]")


def shown(page: Any, selector: str) -> int:
    count: int = page.locator(selector).filter(visible=True).count()
    return count


def colours_of_cars(page: Any) -> set[str]:
    """The colours in which the class car stands in legends, the table, bars and the plane of embeddings."""
    legends = page.locator(".legend li, #per-class th").filter(has_text=re.compile("^car$")).locator(".swatch")
    rows = page.locator("#classes tr").filter(has=page.locator("th", has_text=re.compile("^car$")))
    bars = rows.locator(".bar span")
    dots = page.locator("#embeddings svg g").filter(has=page.locator("title", has_text=re.compile("^car$")))
    assert min(legends.count(), bars.count(), dots.count()) >= 1
    found = [style for one in (legends, bars) for style in one.evaluate_all(_STYLE % "backgroundColor")]
    return {*found, *dots.evaluate_all(_STYLE % "fill")}


_STYLE = "all => all.map(e => getComputedStyle(e).%s)"


@pytest.mark.parametrize("width", [390, 820, 1300])
def test_nothing_sticks_out_sideways(opened: Opened, width: int):
    opened.page.set_viewport_size({"width": width, "height": 900})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_light_and_dark_follow_the_system(opened: Opened):
    colour = "getComputedStyle(document.body).backgroundColor"
    light = opened.page.evaluate(colour)
    opened.page.emulate_media(color_scheme="dark")
    assert opened.page.evaluate(colour) != light


def test_the_keyboard_reaches_the_result_and_wide_tables(opened: Opened):
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the result"
    opened.page.keyboard.press("Enter")
    assert opened.page.url.endswith("#result")
    assert (
        opened.page.locator('[tabindex="0"][role="region"][aria-label]').count()
        == opened.page.locator(".scroll").count()
    )
