"""The similarity in a real browser: a click moves the anchor and draws every map anew, in the figure and the report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import Chain
from comparison import Compared

from olivine.report.figures.command import run_similarity
from olivine.report.figures.similarity import Similarities, read_similarities
from olivine.report.figures.similarity_maps import similarity
from olivine.report.page import write_report

DIGEST = "all => all.map(c => c.toDataURL())"


@pytest.fixture(scope="module")
def given(chain: Chain) -> Similarities:
    return read_similarities(chain.made["pretrain"], "", "CAM_FRONT")


@pytest.fixture(scope="module", params=["figure", "report"])
def file(request, chain: Chain, compared: Compared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("similarity") / "page.html"
    if request.param == "report":
        return write_report(compared.store, compared.all, out, "Both arms")
    return run_similarity(chain.store.url, chain.made["pretrain"].id, "", "CAM_FRONT", "", out)


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.complaints = []
    page.requests = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("#similarity-maps[data-anchor]")
    yield page
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [file.as_uri()]
    page.close()


def anchor_of(page: Any) -> int:
    return int(page.get_attribute("#similarity-maps", "data-anchor"))


def ranges(page: Any) -> list[str]:
    return [re.match(r"[\d.]+ \(dark\) to [\d.]+", text)[0] for text in page.locator(".reading").all_inner_texts()]


def expected_ranges(given: Similarities, anchor: int) -> list[tuple[float, float]]:
    found = []
    for over in ("pixels_GD", "points_KD"):
        for space in given.spaces:
            similar = similarity(space.points_KD[anchor], getattr(space, over))
            found.append((float(similar.min()), float(similar.max())))
    return found


def test_the_maps_are_those_of_the_anchor(page: Any, given: Similarities):
    assert anchor_of(page) == given.anchor
    assert page.locator("#similarity-maps canvas").count() == 4
    shown = [tuple(map(float, re.findall(r"\d\.\d+", text))) for text in ranges(page)]
    assert np.abs(np.array(shown) - np.array(expected_ranges(given, given.anchor))).max() < 0.02


def test_a_click_moves_the_anchor(page: Any, given: Similarities):
    canvas = page.locator("#similarity-maps canvas").first
    before = page.eval_on_selector_all("#similarity-maps canvas", DIGEST)
    box = canvas.bounding_box()
    canvas.click(position={"x": 0.9 * box["width"], "y": 0.85 * box["height"]})
    anchor = anchor_of(page)
    height, width = given.image.height, given.image.width
    distance = np.linalg.norm((given.place_K2 - [0.85, 0.9]) * [height, width], axis=1)
    # Which of two nearly equal ones is nearest may turn on a rounded pixel.
    assert distance[anchor] <= distance.min() + 1
    assert anchor != given.anchor
    after = page.eval_on_selector_all("#similarity-maps canvas", DIGEST)
    assert all(one != other for one, other in zip(before, after, strict=True))
    shown = [tuple(map(float, re.findall(r"\d\.\d+", text))) for text in ranges(page)]
    assert np.abs(np.array(shown) - np.array(expected_ranges(given, anchor))).max() < 0.02
    label = given.label_K[anchor]
    name = given.label_names[label] if label < len(given.label_names) else "no weak label"
    assert page.inner_text("#similarity-maps output") == f"Anchor: point {anchor + 1} of {len(given.label_K)}, {name}."
    assert page.input_value("#similarity-maps input") == str(anchor)


def test_the_keyboard_moves_it_too(page: Any, given: Similarities):
    page.focus("#similarity-maps input")
    page.keyboard.press("ArrowRight")
    assert anchor_of(page) == given.anchor + 1


def test_the_anchor_is_marked_where_it_is(page: Any, given: Similarities):
    """A white ring on a black one, on each map."""
    row, column = given.place_K2[given.anchor] * [given.image.height, given.image.width]
    for number in range(4):
        ring = page.evaluate(
            "([n, x, y]) => Array.from(document.querySelectorAll('#similarity-maps canvas')[n]"
            ".getContext('2d').getImageData(x, y, 1, 1).data)",
            [number, round(float(column) + 7), round(float(row))],
        )
        assert min(ring[:3]) > 150


@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_of_the_maps_sticks_out(page: Any, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#similarity-maps canvas").first.bounding_box()
    assert 0.4 * min(width, 600) < box["width"] < width
