"""The pipeline as it ran: every stage with what it made, from the manifests (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from olivine.artifacts import Artifact, Manifest
from olivine.report.figures.figure import Figure, Panel, origin_facts
from olivine.report.svg import figure_svg, text
from olivine.report.table import percent
from olivine.report.trace import Trace, trace
from olivine.stages import BY_WORD, WORDS
from olivine.store import Store

_BOX_PX, _GAP_PX, _LINE_PX, _HEAD_PX, _TOP_PX, _ROW_GAP_PX = 168, 24, 15, 46, 56, 16
_BUS_PX, _LANE_PX = 34, 8
_MOST_RUNS = 6
_TERMS = {
    "point_pixel": "point-pixel loss",
    "category": "category-aware loss",
    "consistency": "consistency loss",
}


@dataclass(frozen=True)
class _Box:
    """An artifact with its lines of text, and the left upper corner of its box."""

    artifact: Artifact
    lines: Sequence[str]
    x: float
    y: float

    @property
    def height(self) -> float:
        return _HEAD_PX + len(self.lines) * _LINE_PX


def draw_pipeline(store: Store, metrics: Sequence[Artifact]) -> Figure:
    """Stages from left to right; the drives feed all of them, along the line below.

    Raises:
        UsageError: metrics that cannot be compared. IntegrityError: an artifact behind them is missing.
    """
    traced = trace(store, metrics)
    labels, backbone = traced.of_kind("weak_labels"), traced.of_kind("backbone")
    left_out = len(traced.runs) - _MOST_RUNS
    note = f"Runs left out: {left_out}." if left_out > 0 else ""
    return Figure(
        name="pipeline",
        title="The pipeline as it ran",
        caption="Every stage with the artifact that it made: the first digits of its id, and what its manifest counts. "
        "An arrow leads from an artifact to what was made from it.",
        panels=[Panel(f"{len(traced.artifacts)} artifacts, from drives to metrics", _draw(traced), note)],
        facts=origin_facts(traced.drives, labels, backbone),
        columns=1,
    )


def _draw(traced: Trace) -> Markup:
    boxes = _place(traced)
    bottom = max(box.y + box.height for box in boxes.values()) + _BUS_PX
    width = len(WORDS) * (_BOX_PX + _GAP_PX) - _GAP_PX + 2
    marker = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#5b6570"/></marker></defs>'
    )
    parts = [marker]
    drives = [id for id, box in boxes.items() if box.artifact.manifest.kind == "drives"]
    lanes = {id: lane for lane, id in enumerate(drives)}
    for box in boxes.values():
        sources = [boxes[ref.id] for ref in box.artifact.manifest.inputs.values() if ref.id in boxes]
        parts += [_edge(source, box, bottom, lanes.get(source.artifact.id, 0)) for source in sources]
    for number, word in enumerate(WORDS, start=1):
        parts.append(text(_column(word) + _BOX_PX / 2, 18, f"{number} {word}", "label"))
    parts += [_draw_box(box) for box in boxes.values()]
    return figure_svg("The pipeline: stages, ids and counts", (width, bottom + 10), parts)


def _place(traced: Trace) -> dict[str, _Box]:
    runs = traced.runs[:_MOST_RUNS]
    shown = {artifact.id for run in runs for artifact in (run.segmenter, run.metrics)}
    boxes: dict[str, _Box] = {}
    below: dict[str, float] = {}
    for artifact in traced.artifacts:
        stage, kind = artifact.manifest.stage, artifact.manifest.kind
        if kind != BY_WORD[stage].makes or (stage in ("finetune", "evaluate") and artifact.id not in shown):
            continue
        box = _Box(artifact, _lines(artifact.manifest), _column(stage), below.get(stage, _TOP_PX))
        boxes[artifact.id] = box
        below[stage] = box.y + box.height + _ROW_GAP_PX
    return boxes


def _column(stage: str) -> float:
    return 1 + WORDS.index(stage) * (_BOX_PX + _GAP_PX)


def _lines(manifest: Manifest) -> list[str]:
    """What a reader wants to know of an artifact, a line each of at most 27 letters."""
    summary, counts, recipe = manifest.summary, manifest.counts, manifest.recipe
    if manifest.kind == "drives":
        lines = ["synthetic" if summary["synthetic"] else "recorded"]
        return lines + [f"{value} {name.replace('_', ' ')}" for name, value in counts.items()]
    if manifest.kind == "weak_labels":
        counted = [f"{value} {name.replace('_', ' ')}" for name, value in counts.items()]
        return [f"labeler {summary['kind']}", f"{len(summary['classes'])} classes", *counted]
    if manifest.kind == "density_weights":
        return [f"variant {summary['variant']}", *(f"{value} {name}" for name, value in counts.items())]
    if manifest.kind == "backbone":
        terms = [
            f"{recipe[f'weight_{term}']:g} x {name}" for term, name in _TERMS.items() if recipe.get(f"weight_{term}")
        ]
        network, encoder = recipe["network"]["kind"], summary.get("encoder", {}).get("encoder")
        return [
            f"method {summary['method']}",
            *([f"images: {encoder}, frozen"] if encoder else []),
            f"points: {network}",
            *terms,
            *(f"{value} {name}" for name, value in counts.items()),
        ]
    if manifest.kind == "segmenter":
        return [
            f"from {summary['init']}, seed {manifest.seed}",
            f"labels {summary['fraction']}",
            *(f"{value} {name}" for name, value in counts.items()),
        ]
    counted = [f"{value} {name}" for name, value in counts.items()]
    return [f"split {summary['split']}", f"mIoU {percent(summary['miou'])} %", *counted]


def _draw_box(box: _Box) -> str:
    manifest = box.artifact.manifest
    owner = ""
    if manifest.kind in ("segmenter", "metrics"):
        owner = "random" if manifest.summary["init"] == "random" else "olivine"
    rows = [
        text(box.x + 10, box.y + 18, manifest.kind.replace("_", " "), "kind", "start"),
        text(box.x + 10, box.y + 33, manifest.id[:12], "digest", "start"),
    ]
    rows += [
        text(box.x + 10, box.y + _HEAD_PX + 5 + row * _LINE_PX, line, "tick", "start", ' style="font-size:11px"')
        for row, line in enumerate(box.lines)
    ]
    return (
        f'<g class="box {owner}"><title>{escape(manifest.kind)} {manifest.id}</title>'
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{_BOX_PX}" height="{box.height:.1f}" rx="7"/>{"".join(rows)}</g>'
    )


def _edge(source: _Box, target: _Box, bottom: float, lane: int) -> str:
    """Straight to the next stage; around what stands between: drives below it, each in its lane, others above it."""
    steps = round((target.x - source.x) / (_BOX_PX + _GAP_PX))
    y = source.y + _HEAD_PX / 2
    if steps == 1:
        to_y = target.y + _HEAD_PX / 2
        middle = target.x - _GAP_PX / 2
        path = f"M{source.x + _BOX_PX:.1f} {y:.1f}H{middle:.1f}V{to_y:.1f}H{target.x:.1f}"
    elif source.artifact.manifest.kind == "drives":
        to_y, middle = target.y + target.height - 12 - lane * _LANE_PX, target.x - _GAP_PX / 2 - 5 + lane * _LANE_PX
        start, below = source.x + _BOX_PX / 2 - lane * 2 * _LANE_PX, bottom - lane * _LANE_PX
        path = f"M{start:.1f} {source.y + source.height:.1f}V{below:.1f}H{middle:.1f}V{to_y:.1f}H{target.x:.1f}"
    else:
        start, end = source.x + _BOX_PX / 2, target.x + _BOX_PX / 2
        path = f"M{start:.1f} {source.y:.1f}V{_TOP_PX - 20}H{end:.1f}V{target.y:.1f}"
    return f'<path class="edge" d="{path}" marker-end="url(#arrow)"/>'
