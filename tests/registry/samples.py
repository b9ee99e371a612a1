"""Small drives and models for the tests of the registry: real objects in a real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from olivine.artifacts import Artifact, Output, begin
from olivine.registry.ready import Ready, add_drive
from olivine.store import Store

VERSION = "v1.0"
NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def write_drive(folder: Path, name: str, rows: int = 2) -> Path:
    """A folder with one table and one sensor file; contents differ by name."""
    root = folder / name
    (root / VERSION).mkdir(parents=True)
    scenes = [{"token": f"{name}-{number}", "name": f"scene {name} {number}"} for number in range(rows)]
    (root / VERSION / "scene.json").write_text(json.dumps(scenes))
    (root / "samples/LIDAR_TOP").mkdir(parents=True)
    (root / "samples/LIDAR_TOP" / f"{name}+0800__1.pcd.bin").write_bytes(name.encode() * 50)
    return root


def add(store: Store, folder: Path, *names: str) -> list[Ready]:
    return [add_drive(store, name, write_drive(folder, name), VERSION) for name in names]


def publish(store: Store, stage: str, kind: str, number: int, summary: dict, **inputs: Artifact) -> Artifact:
    manifests = {port: artifact.manifest for port, artifact in inputs.items()}
    out = begin(store, stage, kind, manifests, {"number": number}, seed=0)
    if isinstance(out, Artifact):
        return out
    assert isinstance(out, Output)
    out.put("data.bin", f"{kind} {number}".encode())
    return out.publish({"things": 1}, summary, ("test data",))


def score(store: Store, number: int, miou: float | None, split: str = "select", drives: int = 0) -> Artifact:
    """Metrics of the segmenter `number` on drives `drives`."""
    given = publish(store, "ingest", "drives", drives, {})
    model = publish(store, "finetune", "segmenter", number, {"miou": None}, drives=given)
    return publish(store, "evaluate", "metrics", number, {"miou": miou, "split": split}, drives=given, segmenter=model)


def segmenter_of(metrics: Artifact) -> Artifact:
    from olivine.artifacts import find_artifact

    return find_artifact(metrics.store, "finetune", metrics.manifest.inputs["segmenter"].id)
