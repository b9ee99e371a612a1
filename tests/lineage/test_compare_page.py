"""The page of a comparison in a real browser, wide and narrow."""

from __future__ import annotations

from typing import Any

import pytest
from lineage.graph import Graph

from olivine.lineage.compare import compare_runs
from olivine.report.compare import render_comparison


@pytest.fixture(scope="module")
def page(browser: Any, shared: Graph) -> Any:
    page = browser.new_page()
    found = compare_runs(shared.store, [shared.id("backbone_a"), f"a long name={shared.id('backbone_b')}"], True)
    page.set_content(render_comparison(found, "Compared"))
    yield page
    page.close()


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out_and_all_groups_are_there(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    headings = page.eval_on_selector_all("h2", "all => all.map(item => item.textContent)")
    assert headings == ["Results", "Artifacts", "Data", "Recipe", "Code", "Environment", "Cost"]
    policy = page.get_attribute('meta[http-equiv="Content-Security-Policy"]', "content")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert page.locator(".scroll:not([tabindex='0'][role='region'][aria-label])").count() == 0
