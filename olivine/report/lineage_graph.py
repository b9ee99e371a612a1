"""The lineage as a picture: every artifact a box, an edge from each to what was made from it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from olivine.artifacts import Artifact
from olivine.report.svg import figure_svg, text
from olivine.report.trace import Trace
from olivine.stages import WORDS

_BOX, _GAP, _ROW, _TOP = (142, 40), 40, 50, 30
_SHORTEST = 280
# Height of what all runs share, as a share of the picture, so that edges leave room for one another.
_HEIGHT_OF = {
    "drives": 0.72,
    "weak_labels": 0.14,
    "density_weights": 0.4,
    "image_features": 0.66,
    "backbone": 0.28,
}
# Drives of a backbone that is fine-tuned on others.
_PRETRAINING_DRIVES = 0.36


@dataclass(frozen=True)
class _Box:
    """Place of an artifact: the left upper corner of its box."""

    artifact: Artifact
    owner: str
    x: float
    y: float


def draw_lineage(traced: Trace) -> Markup:
    """Columns are stages; a box shows kind, owner, and the first digits of id and data digest."""
    boxes = _place_boxes(traced)
    height = max(box.y for box in boxes.values()) + _BOX[1] + 12
    width = len(WORDS) * (_BOX[0] + _GAP) - _GAP + 2
    parts = [_edge(boxes[ref], box) for box in boxes.values() for ref in _made_from(box.artifact) if ref in boxes]
    parts += [text(_column(word) + _BOX[0] / 2, 16, word, "label") for word in WORDS]
    parts += [_draw_box(box) for box in boxes.values()]
    return figure_svg(f"Lineage of {len(boxes)} artifacts, from drives to metrics", (width, height), parts)


def _made_from(artifact: Artifact) -> list[str]:
    features = artifact.manifest.summary.get("image_features")
    return [ref.id for ref in artifact.manifest.inputs.values()] + ([features] if features else [])


def _column(stage: str) -> float:
    return 1 + WORDS.index(stage) * (_BOX[0] + _GAP)


def _place_boxes(traced: Trace) -> dict[str, _Box]:
    # Pretrained runs above: their edges come from the upper half, those of a random start straight from the drives.
    rows = {run.metrics.id: row for row, run in enumerate(reversed(traced.runs))}
    segmenters: dict[str, int] = {}
    for run in reversed(traced.runs):
        segmenters.setdefault(run.segmenter.id, rows[run.metrics.id])
    room = max(len(rows) * _ROW, _SHORTEST)
    boxes, backbones = {}, 0
    for artifact in traced.artifacts:
        kind, row = artifact.manifest.kind, (rows | segmenters).get(artifact.id)
        if row is not None:
            y = _TOP + (row + 0.5) * room / len(rows) - _BOX[1] / 2
        else:
            share = (
                _PRETRAINING_DRIVES
                if kind == "drives" and artifact.id != traced.drives.id
                else _HEIGHT_OF.get(kind, 0.5)
            )
            y = _TOP + share * room - _BOX[1] / 2 + backbones * _ROW
            backbones += kind == "backbone"
        arm, seed = traced.owner(artifact)
        boxes[artifact.id] = _Box(artifact, "" if arm is None else f"{arm} {seed}", _column(artifact.manifest.stage), y)
    return boxes


def _draw_box(box: _Box) -> str:
    manifest = box.artifact.manifest
    width, height = _BOX
    style = box.owner.split(" ")[0] or "shared"
    owner = text(box.x + width - 8, box.y + 16, box.owner, "owner", "end") if box.owner else ""
    title = f"<title>{escape(manifest.kind)} {manifest.id}, data {manifest.data_digest}</title>"
    return (
        f'<g class="box {escape(style)}">{title}'
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{width}" height="{height}" rx="6"/>'
        f"{text(box.x + 8, box.y + 16, manifest.kind, 'kind', 'start')}{owner}"
        f"{text(box.x + 8, box.y + 31, f'{manifest.id[:8]} · {manifest.data_digest[:8]}', 'digest', 'start')}</g>"
    )


def _edge(source: _Box, target: _Box) -> str:
    style = "far" if target.x - source.x > _BOX[0] + 2 * _GAP else "near"
    if source.x == target.x:
        x, start, end = source.x + _BOX[0] / 2, source.y, target.y + _BOX[1]
        return f'<path class="edge near" d="M{x:.1f} {start:.1f}V{end:.1f}"/>'
    x, y = source.x + _BOX[0], source.y + _BOX[1] / 2
    to_x, to_y = target.x, target.y + _BOX[1] / 2
    bend = min((to_x - x) / 2, 60)
    path = f"M{x:.1f} {y:.1f}C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    return f'<path class="edge {style}" d="{path}"/>'
