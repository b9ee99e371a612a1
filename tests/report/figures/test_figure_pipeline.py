"""The pipeline as a drawing: every artifact of the run with its id and counts, nothing over anything else."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from comparison import Compared

from olivine.errors import UsageError
from olivine.report.figures import pipeline
from olivine.report.figures.pipeline import draw_pipeline
from olivine.report.trace import trace


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    return [
        tuple(map(float, found))
        for found in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" rx="7"', svg)
    ]


def test_every_stage_is_there_with_its_ids_and_counts(compared: Compared):
    svg = str(draw_pipeline(compared.store, compared.all).panels[0].body)
    words = "".join(ElementTree.fromstring(svg).itertext())
    for artifact in trace(compared.store, compared.all).artifacts:
        if artifact.manifest.kind == "image_features":
            continue
        assert f">{artifact.id[:12]}<" in svg
        for value in artifact.manifest.counts.values():
            assert str(value) in words
    for said in (
        "method olivine",
        "images: stand_in, frozen",
        "category-aware loss",
        "labeler simulated",
        "13 classes",
    ):
        assert said in words


def test_boxes_and_text_do_not_collide(compared: Compared):
    svg = str(draw_pipeline(compared.store, compared.all).panels[0].body)
    placed = boxes(svg)
    assert len(placed) == 4 + 4 + 4
    for number, (x, y, width, height) in enumerate(placed):
        for other_x, other_y, other_width, other_height in placed[:number]:
            apart = x >= other_x + other_width or other_x >= x + width
            assert apart or y >= other_y + other_height or other_y >= y + height
    width, height = map(float, re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    assert all(x + w <= width and y + h <= height for x, y, w, h in placed)


def test_every_input_has_its_arrow(compared: Compared):
    svg = str(draw_pipeline(compared.store, compared.all).panels[0].body)
    artifacts = [a for a in trace(compared.store, compared.all).artifacts if a.manifest.kind != "image_features"]
    assert svg.count("marker-end") == sum(len(artifact.manifest.inputs) for artifact in artifacts)


def test_many_runs_are_left_out_and_said_so(compared: Compared, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipeline, "_MOST_RUNS", 3)
    [panel] = draw_pipeline(compared.store, compared.all).panels
    assert len(boxes(str(panel.body))) == 4 + 3 + 3
    assert panel.note == "Runs left out: 1."


def test_a_random_start_has_no_pretraining(compared: Compared):
    [panel] = draw_pipeline(compared.store, [compared.metrics["random", 0]]).panels
    assert len(boxes(str(panel.body))) == 3


def test_no_metrics_are_refused(compared: Compared):
    with pytest.raises(UsageError, match="--metrics"):
        draw_pipeline(compared.store, [])
