"""The explorer: one self-contained page over many artifacts, to search, walk up and down, and compare two."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from olivine.artifacts import Manifest
from olivine.lineage.diff import flatten
from olivine.lineage.search import numbers_of
from olivine.lineage.source import Source
from olivine.report.page import environment
from olivine.stages import SENSOR_KINDS

_FOLDER = Path(__file__).parent


def render_page(source: Source, manifests: Iterable[Manifest], chosen: str = "", withdrawn: Container[str] = ()) -> str:
    """The page of these artifacts, what is needed before what needs it; `chosen` (an id) is open at first.

    What was made from a drive in `withdrawn` is marked.
    """
    marks: dict[str, list[str]] = {}
    nodes = []
    for manifest in manifests:
        marked = [drive for drive in manifest.summary.get("drives", []) if drive in withdrawn]
        marked += [drive for ref in manifest.inputs.values() for drive in marks.get(ref.id, [])]
        marks[manifest.id] = list(dict.fromkeys(marked)) if manifest.kind in SENSOR_KINDS or manifest.inputs else []
        nodes.append(_node(source, manifest) | {"withdrawn": marks[manifest.id]})
    template = environment(_FOLDER).get_template("page.html")
    return template.render(
        store=source.url,
        script=(_FOLDER / "page.js").read_text(),
        count=len(nodes),
        # Inside a script element only "</" and "<!--" could end it: no "<" is left.
        data=json.dumps({"nodes": nodes, "chosen": chosen}).replace("<", "\\u003c"),
    )


def _node(source: Source, manifest: Manifest) -> dict[str, Any]:
    run = source.run(manifest) or {}
    return {
        "id": manifest.id,
        "stage": manifest.stage,
        "kind": manifest.kind,
        "inputs": {port: ref.id for port, ref in manifest.inputs.items()},
        "finished": run.get("ended", ""),
        "drives": manifest.summary.get("drives", []) if manifest.kind in SENSOR_KINDS else [],
        "facts": {
            "data digest": manifest.data_digest,
            "seed": manifest.seed,
            "commit": manifest.code.commit or "not recorded",
            "dirty": manifest.code.dirty,
            "image": manifest.image_digest,
            "host": run.get("host"),
            "device": run.get("device"),
            "wall time [s]": run.get("wall_s"),
            "licences": "; ".join(manifest.licences),
            "left out": len(manifest.quarantined),
        },
        "counts": manifest.counts,
        "numbers": numbers_of(manifest),
        "recipe": {name: value for name, value in flatten(manifest.recipe).items() if not isinstance(value, list)},
    }
