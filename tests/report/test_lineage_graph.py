from __future__ import annotations

import xml.etree.ElementTree as ET

from comparison import Compared

from olivine.report.lineage_graph import draw_lineage
from olivine.report.trace import Trace, trace


def boxes(traced: Trace) -> list[tuple[float, float, float, float]]:
    rects = ET.fromstring(draw_lineage(traced)).iter("rect")
    return [tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height")) for rect in rects]


def test_every_artifact_has_a_box_with_its_digests(compared: Compared):
    traced = trace(compared.store, compared.all)
    svg = draw_lineage(traced)
    for artifact in traced.artifacts:
        assert f"{artifact.id[:8]} · {artifact.manifest.data_digest[:8]}" in svg
        assert f"{artifact.manifest.kind} {artifact.id}, data {artifact.manifest.data_digest}" in svg
    assert len(boxes(traced)) == len(traced.artifacts)


def test_every_input_has_an_edge(compared: Compared):
    traced = trace(compared.store, compared.all)
    edges = [path for path in ET.fromstring(draw_lineage(traced)).iter("path") if "edge" in path.attrib["class"]]
    # One more: the cached features, which are no input of the backbone but were read by it.
    assert len(edges) == sum(len(artifact.manifest.inputs) for artifact in traced.artifacts) + 1


def test_boxes_lie_apart_and_inside(compared: Compared):
    for given in (compared.all, [compared.metrics["random", 0]]):
        traced = trace(compared.store, given)
        _, _, width, height = map(float, ET.fromstring(draw_lineage(traced)).attrib["viewBox"].split())
        placed = boxes(traced)
        for number, (x, y, w, h) in enumerate(placed):
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
            for other_x, other_y, _, _ in placed[:number]:
                assert abs(x - other_x) >= w or abs(y - other_y) >= h
