from __future__ import annotations

import errno
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from comparison import Compared, run_stage

from olivine.artifacts import Artifact
from olivine.errors import ConfigError, DiskFullError, IntegrityError, UsageError
from olivine.report.figures import in_report
from olivine.report.page import render_report, write_report
from olivine.report.summary import summarise
from olivine.report.table import percent
from olivine.report.trace import trace

LARGEST_BYTES = 5_000_000
VOID = {"meta", "link", "img", "br", "input"}


class Checker(HTMLParser):
    """Collects the elements of a page, and fails where one is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(compared: Compared) -> str:
    return render_report(compared.store, compared.all, "A title")


def test_the_page_is_one_whole_file(page: str):
    checker = Checker(page)
    assert len(page.encode()) < LARGEST_BYTES
    # The data and the script of the similarity to an anchor, which the policy names by its digest.
    assert [script.get("type") for script in checker.of("script")] == ["application/json", None]
    assert "script-src 'sha256-" in page
    sources = [image["src"] or "" for image in checker.of("img")]
    assert all(source.startswith("data:image/") for source in sources)
    assert all((link["href"] or "").startswith(("#", "data:")) for tag in ("a", "link") for link in checker.of(tag))
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_is_made_for_everyone(page: str):
    checker = Checker(page)
    assert all(image["alt"] and image["width"] and image["height"] for image in checker.of("img"))
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in checker.of("svg"))
    assert all(cell.get("scope") in ("row", "col") for cell in checker.of("th"))
    assert page.count("<figcaption>") + page.count("<caption>") >= page.count("<figure")
    ids = [attributes["id"] for _, attributes in checker.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [(link["href"] or "")[1:] for link in checker.of("a")]
    assert set(links) <= set(ids), "every link of the page leads somewhere in it"


def test_every_number_of_the_summary_is_there(page: str, compared: Compared):
    summary = summarise(compared.store, compared.all)
    for arm in summary["arms"].values():
        for share in (arm["miou"], *arm["miou_by_seed"], *arm["per_category"].values()):
            assert f">{percent(share)}<" in page
    for artifact in trace(compared.store, compared.all).artifacts:
        assert artifact.id in page
        assert artifact.manifest.data_digest in page


def test_what_is_not_real_is_said(page: str):
    for sentence in (
        "SYNTHETIC drives",
        "SIMULATED weak labels",
        "STAND-IN",
        "2 seeds claim nothing",
        "fewer than 5 seeds: claims nothing",
    ):
        assert sentence in page
    for caption in re.findall(r"<figcaption>(.*?)</figcaption>", page, flags=re.DOTALL):
        assert re.search("synthetic|simulat|rendered", caption, flags=re.IGNORECASE), caption


def test_the_same_metrics_give_the_same_page(page: str, compared: Compared):
    assert render_report(compared.store, compared.all[::-1], "A title") == page


def test_text_from_outside_is_never_markup(compared: Compared):
    hostile = "</title><script>alert(1)</script>"
    assert len(Checker(render_report(compared.store, compared.all, hostile)).of("script")) == 2


def test_a_random_start_alone_has_a_page(compared: Compared):
    page = render_report(compared.store, [compared.metrics["random", 0]], "One arm")
    checker = Checker(page)
    assert "weak-labels" not in page
    assert "claim" not in page
    assert len(checker.of("img")) == 2 * (2 + 1) + 2 + 1
    assert checker.of("script") == checker.of("canvas") == []
    assert "script-src" not in page


def test_labels_of_points_alone_have_a_page(own_compared: Compared):
    drives = own_compared.all[0].manifest.inputs["drives"].id
    made = {"drives": drives}
    for word, port in (("label", "weak_labels"), ("weigh", "density_weights"), ("pretrain", "backbone")):
        settings = ["label.labeler=truth"] if word == "label" else []
        made[port] = run_stage(word, own_compared.folder, made, *settings).id
    tuned = run_stage("finetune", own_compared.folder, {"drives": drives, "backbone": made["backbone"]})
    metrics = run_stage("evaluate", own_compared.folder, {"drives": drives, "segmenter": tuned.id})
    page = render_report(own_compared.store, [metrics], "Truth")
    assert "HAND LABELS themselves" in page
    assert "of pairs alone, as dots" in page
    assert "never sees the truth" not in page


def test_a_page_is_written_whole_or_not_at_all(compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "new" / "folder" / "report.html"
    assert write_report(compared.store, compared.all, out, "First") == out
    first = out.read_bytes()

    def fail(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(DiskFullError, match=r"report\.html.*No space left"):
        write_report(compared.store, compared.all, out, "Second")
    assert out.read_bytes() == first
    assert list(out.parent.iterdir()) == [out]


def test_a_place_that_cannot_be_written_is_named(compared: Compared, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/report\.html"):
        write_report(compared.store, compared.all, tmp_path / "file" / "report.html", "Title")


def test_a_figure_that_cannot_be_drawn_leaves_its_reason(compared: Compared, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(in_report.importlib.util, "find_spec", lambda name: None)

    def refuse(backbone: Artifact) -> None:
        raise ConfigError("no room for <b>it</b>")

    monkeypatch.setattr(in_report, "draw_conflict", refuse)
    page = render_report(compared.store, compared.all, "Without")
    assert "Self-conflict: no room for &lt;b&gt;it" in page
    assert page.count("needs torch, which is not installed where this page was made") == 2
    assert Checker(page).of("canvas") == []


def test_damage_is_no_figure_left_out(compared: Compared, monkeypatch: pytest.MonkeyPatch):
    def damaged(backbone: Artifact) -> None:
        raise IntegrityError("bytes that differ")

    monkeypatch.setattr(in_report, "draw_conflict", damaged)
    with pytest.raises(IntegrityError, match="bytes that differ"):
        render_report(compared.store, compared.all, "Damaged")
