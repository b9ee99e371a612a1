"""Small drives and models for the tests of the registry: real objects in a real store."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from olivine.artifacts import Artifact, Output, begin
from olivine.registry.ready import Ready, add_drive
from olivine.store import Store

VERSION = "v1.0"
MINI = "v1.0-mini"
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


def score(
    store: Store, number: int, miou: float | None, split: str = "select", drives: int = 0, **summary: Any
) -> Artifact:
    """Metrics of the segmenter `number` on drives `drives`."""
    given = publish(store, "ingest", "drives", drives, {})
    model = publish(store, "finetune", "segmenter", number, {"miou": None}, drives=given)
    summary |= {"miou": miou, "split": split}
    return publish(store, "evaluate", "metrics", number, summary, drives=given, segmenter=model)


def segmenter_of(metrics: Artifact) -> Artifact:
    from olivine.artifacts import find_artifact

    return find_artifact(metrics.store, "finetune", metrics.manifest.inputs["segmenter"].id)


def cut(root: Path, out: Path, scenes: list[str]) -> Path:
    """The part of a nuScenes data set that belongs to some of its scenes, as a data set of its own."""
    tables: dict[str, list[dict[str, Any]]] = {
        path.stem: json.loads(path.read_text()) for path in (root / MINI).glob("*.json") if path.stem != "splits"
    }

    def keep(name: str, field: str, tokens: set[str]) -> set[str]:
        tables[name] = [row for row in tables[name] if row[field] in tokens]
        return {row["token"] for row in tables[name]}

    kept_scenes = keep("scene", "name", set(scenes))
    samples = keep("sample", "scene_token", kept_scenes)
    sweeps = keep("sample_data", "sample_token", samples)
    keep("ego_pose", "token", {row["ego_pose_token"] for row in tables["sample_data"]})
    keep("calibrated_sensor", "token", {row["calibrated_sensor_token"] for row in tables["sample_data"]})
    keep("lidarseg", "sample_data_token", sweeps)
    keep("sample_annotation", "sample_token", samples)
    keep("instance", "token", {row["instance_token"] for row in tables["sample_annotation"]})
    logs = keep("log", "token", {row["log_token"] for row in tables["scene"]})
    for row in tables["map"]:
        row["log_tokens"] = [token for token in row["log_tokens"] if token in logs]
    splits = json.loads((root / MINI / "splits.json").read_text())
    (out / MINI).mkdir(parents=True)
    for name, rows in tables.items():
        (out / MINI / f"{name}.json").write_text(json.dumps(rows))
    chosen = {split: [name for name in names if name in scenes] for split, names in splits.items()}
    (out / MINI / "splits.json").write_text(json.dumps(chosen))
    files = [row["filename"] for name in ("sample_data", "lidarseg", "map") for row in tables[name]]
    for file in files:
        if (root / file).is_file():
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / file, out / file)
    # What only synthetic drives have: their recipe, and the truth behind every picture.
    shutil.copy(root / "synth.json", out / "synth.json")
    shutil.copytree(root / "synth_truth", out / "synth_truth")
    return out
