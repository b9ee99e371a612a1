"""The tables of docs/miniature.md are those of the study's own summary, not typed."""

from __future__ import annotations

import json
from pathlib import Path

from olivine.study.page import render_markdown

DOCS = Path(__file__).parents[2] / "docs"
MARK = "<!-- What follows is build/miniature/summary.md as `make miniature` wrote it. -->"


def test_the_tables_are_those_of_the_summary():
    summary = json.loads((DOCS / "miniature.json").read_text())
    assert (summary["size"], summary["claims"]) == ("core", True)
    written = (DOCS / "miniature.md").read_text().split(MARK)
    assert len(written) == 2
    rendered = render_markdown(summary).removeprefix("# The paper in miniature")
    assert written[1].strip() == rendered.strip()
