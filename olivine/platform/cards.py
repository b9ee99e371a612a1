"""What the KFP UI shows of an evaluated segmenter: its confusion and its model card, both from manifests alone."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np

from olivine.artifacts import Artifact, Manifest, find_artifact
from olivine.nuscenes_categories import CATEGORY_NAMES


def confusion_metadata(metrics: Artifact) -> dict[str, Any]:
    """The confusion over the 16 categories as the metadata of a KFP artifact ClassificationMetrics.

    Rows are the hand labels, columns the predictions, both in points; what has no hand label is left out.
    """
    counts_CC = np.load(io.BytesIO(metrics.read("confusion.npy")), allow_pickle=False)[1:, 1:]
    names = [{"displayName": name} for name in CATEGORY_NAMES]
    return {"confusionMatrix": {"annotationSpecs": names, "rows": [{"row": row} for row in counts_CC.tolist()]}}


def render_model_card(metrics: Artifact) -> str:
    """The model card of the segmenter that `metrics` are of, in Markdown; every figure stands in a manifest."""
    segmenter = _input(metrics, "finetune", "segmenter")
    drives = _input(metrics, "ingest", "drives")
    model, score = segmenter.manifest, metrics.manifest.summary
    parts = [
        f"# Segmenter {segmenter.id[:12]}",
        _table("What", "", _facts(model, drives.manifest, metrics.manifest)),
        f"## Score on `{score.get('split')}`",
        _table("category", "IoU", [("mean", _share(score.get("miou"))), *_per_category(score)]),
        "## Recipe",
        _table("field", "value", _flat(model.recipe)),
        "## Limits",
        "Scored on the drives above alone. Licences of the data pass on to what is made of them: "
        + "; ".join(_plain(licence) for licence in model.licences)
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _input(artifact: Artifact, stage: str, port: str) -> Artifact:
    return find_artifact(artifact.store, stage, artifact.manifest.inputs[port].id, port)


def _facts(model: Manifest, drives: Manifest, metrics: Manifest) -> Iterable[tuple[str, Any]]:
    yield "segmenter", model.id
    yield "data digest", model.data_digest
    yield "start", model.summary.get("init")
    for port, ref in model.inputs.items():
        yield port, ref.id
    yield "scored on drives", drives.id
    yield "keyframes scored", metrics.counts.get("keyframes")
    yield "seed", model.seed
    yield (
        "code",
        f"{model.code.version} {model.code.commit or model.code.digest}" + (" (dirty)" * bool(model.code.dirty)),
    )
    yield "image", model.image_digest or "none"
    yield from sorted(model.libraries.items())


def _per_category(score: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _share(value)) for name, value in (score.get("per_category") or {}).items()]


def _share(value: float | None) -> str:
    return "absent" if value is None else f"{value:.4f}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _table(first: str, second: str, rows: Iterable[tuple[str, Any]]) -> str:
    lines = [f"| {first} | {second} |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {_plain(name)} | {_plain(value)} |" for name, value in rows)])


def _plain(value: Any) -> str:
    """Text that Markdown shows as it is: nothing from a manifest can become a tag, a link or another cell."""
    text = str(value).replace("\\", "\\\\").replace("\n", " ")
    for sign in "|<>[]`*_":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return text
