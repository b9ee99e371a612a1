"""The explorer in a real browser: search, walk, compare, by keyboard, and no name becomes markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lineage.graph import Graph, publish

from olivine.artifacts.withdrawn import withdraw
from olivine.lineage.export import export
from olivine.lineage.page import render_page
from olivine.lineage.source import Place, StoreSource

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Any, shared: Graph, tmp_path: Path, complaints: list[str]) -> Iterator[Any]:
    file = tmp_path / "lineage.html"
    file.write_text(export(shared.store, Place("pretrain", shared.id("backbone_a")), "html"))
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    opened.close()


def test_it_opens_on_what_was_asked_for(page: Any, shared: Graph, complaints: list[str]) -> None:
    assert page.locator("#title").inner_text().startswith(f"backbone {shared.id('backbone_a')[:12]}")
    assert page.locator("#shown").inner_text() == "8 of 8 shown"
    assert complaints == []


def test_no_other_script_may_run(page: Any) -> None:
    policy = page.get_attribute('meta[http-equiv="Content-Security-Policy"]', "content")
    assert policy.startswith("default-src 'none'")
    assert policy.count("sha256-") == 1
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    assert page.title() == "Lineage"


def test_search_walk_and_compare(page: Any, shared: Graph, complaints: list[str]) -> None:
    page.fill("#search", "segmenter")
    # Metrics name their segmenter in no field of their own that is searched but the kind of it.
    assert page.locator("#shown").inner_text() == "2 of 8 shown"
    page.locator(".row").first.click()
    assert page.locator("#title").inner_text().startswith("segmenter")
    page.click("#compare")
    page.get_by_role("button", name="backbone").click()
    assert page.locator("#title").inner_text().startswith("backbone")
    assert "Left: this. Right: segmenter" in page.locator("#details").inner_text()
    assert page.locator("tr.differs").count() > 0
    page.get_by_role("button", name="drives").click()
    assert "read from outside" in page.locator("#details").inner_text()
    assert complaints == []


def test_the_keyboard_is_enough(page: Any) -> None:
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("Home")
    first = page.locator("#title").inner_text()
    page.keyboard.press("ArrowDown")
    assert page.locator("#title").inner_text() != first
    assert page.locator('[aria-selected="true"]').count() == 1
    active = page.locator("#list").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"


def test_ten_thousand_artifacts_are_usable(browser: Any, shared: Graph, tmp_path: Path, complaints: list[str]) -> None:
    """Ten thousand manifests made of a few: the list keeps few rows, and a search finds one."""
    base = [artifact.manifest for artifact in shared.made.values()]
    many = [
        base[number % len(base)].model_copy(update={"id": f"{number:064x}", "inputs": {}}) for number in range(10_000)
    ]
    file = tmp_path / "many.html"
    file.write_text(render_page(StoreSource(shared.store), many))
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(file.as_uri())
    assert opened.locator("#shown").inner_text() == "10000 of 10000 shown"
    assert opened.locator(".row").count() < 60
    opened.fill("#search", f"{4711:064x}")
    assert opened.locator("#shown").inner_text() == "1 of 10000 shown"
    opened.locator(".row").click()
    assert f"{4711:064x}" in opened.locator("#details").inner_text()
    assert complaints == []
    opened.close()


def test_names_stay_text_and_withdrawn_drives_are_marked(browser: Any, graph: Graph, tmp_path: Path) -> None:
    inputs = {"drives": graph["drives_b"]}
    hostile = publish(graph.store, "label", "weak_labels", inputs, {"labeler": HOSTILE}, {"kind": HOSTILE})
    withdraw(graph.store, "odd drive/<b>", "asked for")
    file = tmp_path / "hostile.html"
    file.write_text(export(graph.store, Place("label", hostile.id), "html"))
    opened = browser.new_page()
    opened.goto(file.as_uri())
    assert opened.title() == "Lineage"
    assert HOSTILE in opened.locator("#details").inner_text()
    assert opened.locator("#details img, #details script").count() == 0
    assert "odd drive/<b>" in opened.locator('[role="alert"]').inner_text()
    opened.close()


@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_sticks_out_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
