"""Figures 6, 10 and 11: scans of another data set, without cameras and with classes of their own."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from chain import Chain, quietly

from olivine.artifacts import Artifact, find_artifact
from olivine.drives import Drives
from olivine.report.figures.class_bars import draw_class_bars
from olivine.report.figures.distribution import draw_distribution
from olivine.report.figures.embeddings import draw_embeddings
from olivine.report.figures.errors import draw_errors
from olivine.report.figures.pipeline import draw_pipeline
from olivine.report.page import render_report
from olivine.steps import StepCall
from olivine.store import Store, open_store


@dataclass
class Scans:
    """Scans, and metrics of the pretrained arm on them, in a store of their own."""

    store: Store
    drives: Artifact
    metrics: Artifact
    backbone: Artifact


@pytest.fixture(scope="module")
def scans(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Scans:
    pytest.importorskip("embreex")
    from olivine.synth import ScanSetRecipe, write_scan_set

    folder = tmp_path_factory.mktemp("figure-scans")
    write_scan_set(folder / "scans", ScanSetRecipe(seed=5, scans_per_sequence=1, num_columns=90), num_workers=1)
    url = str(shutil.copytree(chain.store.url.removeprefix("file://"), folder / "store"))

    def run(word: str, inputs: dict[str, str], *settings: str, source: Path | None = None) -> Artifact:
        return quietly(word, StepCall(url, "tiny_cpu", list(settings), inputs, source and str(source)))

    drives = run("ingest", {}, "ingest.dataset=semantickitti", source=folder / "scans")
    backbone = chain.made["pretrain"].id
    intensity = 'finetune.network.intensity={"scale": 255, "for_max": 1}'
    settings = (intensity, "finetune.fraction_unit=scan", "finetune.epochs=1")
    tuned = run("finetune", {"drives": drives.id, "backbone": backbone}, *settings)
    metrics = run("evaluate", {"drives": drives.id, "segmenter": tuned.id})
    store = open_store(url)
    return Scans(store, drives, metrics, find_artifact(store, "pretrain", backbone, "backbone"))


def test_errors_are_shown_from_above_with_classes_of_the_data_set(scans: Scans):
    figure = draw_errors(scans.store, [scans.metrics], [], "CAM_FRONT", "official")
    assert [panel.title for panel in figure.panels] == ["08: hand labels", "08: olivine"]
    assert [swatch.name for swatch in figure.legend[2:]] == list(Drives(scans.drives).class_names)
    assert "no cameras" in figure.caption
    assert any("SYNTHETIC" in fact for fact in figure.facts)


def test_classes_are_counted_by_the_data_set(scans: Scans):
    figure = draw_distribution(scans.drives, None, "safe")
    drives = Drives(scans.drives)
    labels = np.concatenate([drives.lidarseg(token) for token in drives.tokens("train")])
    road = 100 * (labels == drives.class_names.index("road") + 1).sum() / (labels > 0).sum()
    assert f"road: {road:.3g} %" in str(figure.panels[0].body)
    assert len(draw_class_bars(scans.store, [scans.metrics]).tables[0].rows) == 1 + 19


def test_points_of_scans_lie_in_the_space_of_a_backbone_from_elsewhere(scans: Scans):
    figure = draw_embeddings(scans.drives, [scans.backbone], "test", "pca", 20, 0, "official")
    assert {swatch.name for swatch in figure.legend} <= set(Drives(scans.drives).class_names)
    assert "road" in {swatch.name for swatch in figure.legend}


def test_the_pipeline_keeps_both_drives_apart(scans: Scans):
    [panel] = draw_pipeline(scans.store, [scans.metrics]).panels
    starts = re.findall(r'd="M([\d.]+) [\d.]+V([\d.]+)H', str(panel.body))
    # Along the line below: from each drives a line of its own, at another height.
    assert len({x for x, _ in starts if float(x) < 168}) == 2
    assert len({y for x, y in starts if float(x) < 168}) == 2


def test_the_report_shows_what_there_is(scans: Scans):
    page = render_report(scans.store, [scans.metrics], "Scans")
    assert "CAM_FRONT: olivine" not in page
    assert '<section id="similarity">' in page
    assert '<section id="embeddings">' in page
    assert "Figures that are not there" not in page
