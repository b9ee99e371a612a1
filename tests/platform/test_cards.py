"""What the KFP UI is given: a confusion as KFP itself would log it, and a card whose text stays text."""

from __future__ import annotations

import html
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olivine.artifacts import Artifact, Output, begin
from olivine.lineage.card import render_card, write_card
from olivine.lineage.source import Place
from olivine.nuscenes_categories import CATEGORY_NAMES
from olivine.platform import executor
from olivine.platform.cards import confusion_metadata
from olivine.platform.close_step import run_close_executor
from olivine.platform.made import note_made
from olivine.registry.claim import claim
from olivine.store import Store, open_store


def publish(store: Store, stage: str, kind: str, summary: dict[str, Any], data: bytes, **inputs: Artifact) -> Artifact:
    given = {port: artifact.manifest for port, artifact in inputs.items()}
    out = begin(store, stage, kind, given, {"note": "a | b\n<script>", "deep": {"field": 3}}, seed=0)
    assert isinstance(out, Output)
    out.put("confusion.npy", data)
    return out.publish({"keyframes": 2}, summary, ("CC BY-NC <b>",))


@pytest.fixture
def confusion() -> Any:
    return np.random.default_rng(0).integers(0, 1000, (17, 17))


@pytest.fixture
def metrics(tmp_path: Path, confusion: Any) -> Artifact:
    store, data = open_store(str(tmp_path / "store")), io.BytesIO()
    np.save(data, confusion)
    drives = publish(store, "ingest", "drives", {}, b"x")
    segmenter = publish(store, "finetune", "segmenter", {"init": "random"}, b"y", drives=drives)
    score = {"miou": 0.5, "split": "select", "per_category": {"car": 0.25, "bus": None}}
    return publish(store, "evaluate", "metrics", score, data.getvalue(), drives=drives, segmenter=segmenter)


def test_the_confusion_is_what_kfp_would_log(metrics: Artifact, confusion: Any) -> None:
    dsl = pytest.importorskip("kfp.dsl")
    expected = dsl.ClassificationMetrics()
    expected.log_confusion_matrix(list(CATEGORY_NAMES), confusion[1:, 1:].tolist())
    assert confusion_metadata(metrics) == expected.metadata


def test_the_card_tells_the_figures_and_nothing_in_it_becomes_markup(metrics: Artifact) -> None:
    id = metrics.manifest.inputs["segmenter"].id
    card = render_card(metrics.store, Place("finetune", id))
    assert id in card
    assert "mIoU 50.00 % on the split select, 1 seed" in card
    assert "| car | select | 25.00 |" in card
    assert "| bus | select | absent |" in card
    assert "| deep.field | 3 |" in card
    assert "a \\| b &lt;script&gt;" in card
    assert "<" not in card
    assert "<" not in write_card(metrics.store, Place("finetune", id))


def test_a_run_is_closed_with_its_failures_shown_and_its_claims_released(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from olivine.platform.trainjob.step import failures_folder, keep_page

    store, now = open_store(str(tmp_path / "store")), datetime.now(UTC)
    for run in ("run-1", "run-2"):
        claim(store, f"plan-of-{run}", run, now, timedelta(hours=1))
    keep_page(store, "run-1", "<h1>a page</h1>")
    store.create(f"{failures_folder('run-1')}/weigh-1.json", b'{"message":"<b>wrong</b> token=abc123secret"}')
    status = {"state": "FAILED", "error": {"message": "<i>task</i> failed"}}
    given = {"inputs": {"parameterValues": {"store": store.url, "run": "run-1", "status": status}}}
    page = tmp_path / "summary"
    outputs = {"summary": {"artifacts": [{"uri": str(page), "metadata": {}}]}}
    given["outputs"] = {"outputFile": str(tmp_path / "out.json"), "artifacts": outputs}
    assert run_close_executor(json.dumps(given)) == "FAILED"
    text = page.read_text()
    assert "&lt;b&gt;wrong&lt;/b&gt;" in text
    assert "<i>" not in text
    assert "abc123secret" not in text
    assert 'srcdoc="&lt;h1&gt;a page&lt;/h1&gt;"' in text
    metadata = json.loads((tmp_path / "out.json").read_text())["artifacts"]["summary"]["artifacts"][0]["metadata"]
    assert metadata == {"state": "FAILED", "failures": 2, "released_claims": 1}
    assert claim(store, "plan-of-run-1", "run-3", datetime.now(UTC), timedelta(hours=1)) is None
    assert claim(store, "plan-of-run-2", "run-3", datetime.now(UTC), timedelta(hours=1)) == "run-2"


def closing_page(store, tmp_path: Path, run: str) -> str:
    given = {"inputs": {"parameterValues": {"store": store.url, "run": run, "status": {"state": "SUCCEEDED"}}}}
    page = tmp_path / f"summary-{run}"
    outputs = {"summary": {"artifacts": [{"uri": str(page), "metadata": {}}]}}
    given["outputs"] = {"outputFile": str(tmp_path / "out.json"), "artifacts": outputs}
    assert run_close_executor(json.dumps(given)) == "SUCCEEDED"
    return page.read_text()


def test_the_lineage_in_the_closing_page_answers_in_a_browser(tmp_path: Path, publish_sample, browser) -> None:
    store = open_store(str(tmp_path / "store"))
    drives = publish_sample(store)
    note_made(publish_sample(store, 1, drives=drives), "run-1")
    page_file = tmp_path / "closing.html"
    page_file.write_text(closing_page(store, tmp_path, "run-1"))
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(page_file.as_uri())
    inner = page.frame_locator("iframe")
    inner.locator(".row", has_text=drives.id[:12]).click()
    assert inner.locator("#details h2").first.inner_text().startswith(f"drives {drives.id[:12]}")
    page.close()
    assert problems == []


def test_the_closing_page_shows_what_the_run_made_and_from_what(tmp_path: Path, publish_sample, monkeypatch) -> None:
    store = open_store(str(tmp_path / "store"))
    drives = publish_sample(store)
    labels = publish_sample(store, 1, drives=drives)
    monkeypatch.setenv("OLIVINE_RUN", "run-1")
    monkeypatch.setattr(executor, "run_stage", lambda word, text: labels)
    given = {"inputs": {"parameterValues": {"store": store.url}}, "outputs": {"outputFile": str(tmp_path / "o.json")}}
    for _ in range(2):
        executor.run_executor("label", json.dumps(given))
    text = closing_page(store, tmp_path, "run-1")
    assert 'iframe sandbox="allow-scripts"' in text
    assert all(text.count(html.escape(f'"id": "{artifact.id}"')) == 1 for artifact in (drives, labels))
    assert "iframe" not in closing_page(store, tmp_path, "run-2")
    store.delete(drives.manifest.key)
    text = closing_page(store, tmp_path, "run-1")
    assert "It cannot be shown" in text
    assert drives.id in text
