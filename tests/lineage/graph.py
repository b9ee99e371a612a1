"""A small lineage, published as the stages publish: two sets of drives, one model of each, and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from olivine.artifacts import Artifact, Output, begin
from olivine.lineage.frames import COLUMNS
from olivine.packs import Entry, build_shard, index_bytes
from olivine.store import Store

WEIGHTS = "ab" * 32
LICENCE = "CC BY-NC-SA 4.0 and the nuScenes Terms of Use (non-commercial)"
TYPES = {name: pa.int64() if name == "timestamp_us" else pa.string() for name in COLUMNS if name != "keyframe"}


@dataclass
class Graph:
    """Artifacts by name: `drives_a`, `labels_a`, ..., `metrics_a`, and the same for b."""

    store: Store
    made: dict[str, Artifact]

    def __getitem__(self, name: str) -> Artifact:
        return self.made[name]

    def id(self, name: str) -> str:
        return self.made[name].id


def publish(
    store: Store, stage: str, kind: str, inputs: dict[str, Artifact], recipe: dict[str, Any], summary: dict[str, Any],
    data: dict[str, bytes] | None = None, seed: int = 0,
) -> Artifact:  # fmt: skip
    manifests = {port: artifact.manifest for port, artifact in inputs.items()}
    out = begin(store, stage, kind, manifests, recipe, seed)
    if isinstance(out, Artifact):
        return out
    assert isinstance(out, Output)
    for name, content in (data or {"data.bin": f"{stage} {kind} {recipe}".encode()}).items():
        out.put(name, content)
    return out.publish({"keyframes": 4}, summary, (LICENCE,))


def publish_drives(store: Store, name: str, drives: tuple[str, ...], keyframes: int = 4) -> Artifact:
    rows = [
        {"scene": f"scene-{row % 2}", "drive": drives[row % len(drives)], "split": ("train", "test")[row % 2],
         "timestamp_us": row}
        for row in range(keyframes)
    ]  # fmt: skip
    entries = [Entry(f"{name}-frame-{row}", {"x": b"1"}, columns=columns) for row, columns in enumerate(rows)]
    shard, index = build_shard("shards/00000.tar", entries)
    data = {"shards/00000.tar": shard, "index.parquet": index_bytes(index, TYPES)}
    summary = {
        "drives": list(drives),
        "scenes": {"train": [f"{name}-scene-0"], "test": ["scene-1"]},
        "synthetic": False,
    }
    return publish(store, "ingest", "drives", {}, {"name": name, "source": "cd" * 32}, summary, data)


def publish_result(
    store: Store, drives: Artifact, backbone: Artifact | None, miou: float, seed: int = 0, frame: str = "a-frame-0",
    **recipe: Any,
) -> tuple[Artifact, Artifact]:  # fmt: skip
    """A segmenter from a backbone or from random, and its metrics."""
    init = "olivine" if backbone else "random"
    inputs = {"drives": drives} | ({"backbone": backbone} if backbone else {})
    summary = {"init": init, "keyframes": [frame], "fraction": "1/100 by scene", "frozen": "no"}
    recipe = {"epochs": 2, "every_nth": 100, "fraction_unit": "scene", "seed": seed} | recipe
    segmenter = publish(store, "finetune", "segmenter", inputs, recipe, summary, seed=seed)
    scores = {"miou": miou, "split": "test", "init": init, "fraction": "1/100 by scene", "frozen": "no"}
    inputs = {"drives": drives, "segmenter": segmenter}
    return segmenter, publish(store, "evaluate", "metrics", inputs, {"split": "test"}, scores, seed=seed)


def build_graph(store: Store) -> Graph:
    made: dict[str, Artifact] = {}
    for name, drives in (("a", ("n008", "n015")), ("b", ("n015", "odd drive/<b>"))):
        made[f"drives_{name}"] = base = publish_drives(store, name, drives)
        labels = {"kind": "grounded_sam", "accuracy": 0.7}
        made[f"labels_{name}"] = publish(store, "label", "weak_labels", {"drives": base}, {"labeler": name}, labels)
        inputs = {"drives": base, "weak_labels": made[f"labels_{name}"]}
        made[f"weights_{name}"] = publish(store, "weigh", "density_weights", inputs, {"variant": "both"}, {})
        inputs["density_weights"] = made[f"weights_{name}"]
        recipe = {"method": "olivine", "lr": 0.1 if name == "a" else 0.2, "splits": "all_train",
                  "encoder": {"weights_sha256": WEIGHTS}, "network": {}}  # fmt: skip
        backbone = publish(
            store, "pretrain", "backbone", inputs, recipe, {"method": "olivine", "loss": 1.5, "encoder": {}}
        )
        made[f"backbone_{name}"] = backbone
        for seed in (0, 1):
            miou = {"a": 0.27134, "b": 0.3}[name] + seed / 100
            tuned, scored = publish_result(store, base, backbone, miou, seed, f"{name}-frame-0")
            made[f"segmenter_{name}{seed}"], made[f"metrics_{name}{seed}"] = tuned, scored
    return Graph(store, made)


def object_path(store: Store, key: str) -> Path:
    """The file of an object of a directory store."""
    return Path(store.url.removeprefix("file://"), key)
