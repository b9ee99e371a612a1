"""Lineage in other programs' words: JSON, Mermaid, in-toto statements, OpenLineage run events."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from olivine.artifacts import Manifest
from olivine.artifacts.provenance import BUILDER
from olivine.artifacts.withdrawn import withdrawals
from olivine.errors import IntegrityError, UsageError
from olivine.lineage.page import render_page
from olivine.lineage.source import Place, StoreSource
from olivine.lineage.trace import ancestors, descendants, trace
from olivine.lineage.verify import read_statements
from olivine.store import Store

OPENLINEAGE_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_NAMESPACE = uuid.UUID("6f1c7a52-3a5e-5d0e-9a5c-0f4b1f6f2c11")


def export(store: Store, place: Place, format: str) -> str:
    """What is behind an artifact, and for pages also what was made from it, in one of `FORMATS`.

    Raises:
        UsageError: no such format. IntegrityError: something behind it is missing.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}: choose one of {', '.join(FORMATS)}.")
    return FORMATS[format](StoreSource(store), place)


def _json(source: StoreSource, place: Place) -> str:
    return json.dumps(trace(source, place).as_json(), indent=1) + "\n"


def _mermaid(source: StoreSource, place: Place) -> str:
    lines = ["flowchart LR"]
    manifests = ancestors(source, place)
    for manifest in manifests:
        lines.append(f'    {_node(manifest.id)}["{manifest.kind}<br/>{manifest.id[:12]}"]')
    known = {manifest.id for manifest in manifests}
    for manifest in manifests:
        lines += [
            f"    {_node(ref.id)} -->|{port}| {_node(manifest.id)}"
            for port, ref in manifest.inputs.items()
            if ref.id in known
        ]
    return "\n".join(lines) + "\n"


def _node(id: str) -> str:
    return f"a{id[:12]}"


def _intoto(source: StoreSource, place: Place) -> str:
    """One statement a line, of every artifact; IntegrityError where one has none."""
    lines = []
    for manifest in ancestors(source, place):
        statements = [data for data in read_statements(source.store, manifest.id).values() if data]
        if not statements:
            raise IntegrityError(f"{manifest.key}: has no statement of its provenance. Run `olivine lineage repair`.")
        lines += [data.decode() for data in statements]
    return "\n".join(lines) + "\n"


def _openlineage(source: StoreSource, place: Place) -> str:
    """One COMPLETE event a line, a job a stage, a data set an artifact."""
    events = (_event(source, manifest) for manifest in ancestors(source, place))
    return "".join(json.dumps(event) + "\n" for event in events)


def _event(source: StoreSource, manifest: Manifest) -> dict[str, Any]:
    run = source.run(manifest) or {}
    return {
        "eventTime": run.get("ended", "1970-01-01T00:00:00+00:00"),
        "eventType": "COMPLETE",
        "producer": BUILDER,
        "schemaURL": OPENLINEAGE_SCHEMA,
        "run": {"runId": str(uuid.uuid5(_NAMESPACE, str(run.get("run", manifest.id)))), "facets": {}},
        "job": {"namespace": "olivine", "name": manifest.stage, "facets": {}},
        "inputs": [_dataset(source.url, f"{ref.stage}/{ref.id}") for ref in manifest.inputs.values()],
        "outputs": [_dataset(source.url, f"{manifest.stage}/{manifest.id}")],
    }


def _dataset(url: str, name: str) -> dict[str, Any]:
    return {"namespace": url, "name": name, "facets": {}}


def _html(source: StoreSource, place: Place) -> str:
    behind = ancestors(source, place)
    ahead = descendants(source, [place])
    shown = {manifest.id: manifest for manifest in [*behind, *ahead]}.values()
    return render_page(source, shown, place.id, withdrawals(source.store))


FORMATS: dict[str, Callable[[StoreSource, Place], str]] = {
    "json": _json,
    "mermaid": _mermaid,
    "intoto": _intoto,
    "openlineage": _openlineage,
    "html": _html,
}
"""What `olivine lineage export --format` takes."""
