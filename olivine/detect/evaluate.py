"""Score a detector by KITTI's own measure and keep its predictions (`olivine detect evaluate`)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from olivine.artifacts import Artifact, begin, canonical_json, sha256_hex
from olivine.detect.frames import Frames
from olivine.detect.recipe import DetectionRecipe
from olivine.detect.results import predict_split, trained_on
from olivine.errors import UsageError
from olivine.metrics.kitti_object import score_kitti_object
from olivine.packs import Entry, build_shard, index_bytes


def run(frames: Artifact, detector: Artifact, recipe: DetectionRecipe) -> Artifact:
    """Predict and score a split; return the `detection_metrics` artifact.

    AP is given for cars, pedestrians and cyclists, whichever of them the detector knows.

    Raises:
        UsageError: the split has no frame, or one that the detector was trained on, or the detector does not say which
            ones those are. The split that it was trained on may be scored as such: the summary says so.
    """
    reader = Frames(frames)
    num_trained_on = _count_trained_on(reader, detector, recipe.split)
    inputs = {"frames": frames.manifest, "detector": detector.manifest}
    out = begin(frames.store, "evaluate", "detection_metrics", inputs, recipe.resolved(), detector.manifest.seed)
    if isinstance(out, Artifact):
        return out
    results = dict(predict_split(reader, detector, recipe))
    rows: list[dict[str, Any]] = []
    entries = [Entry(name, {"txt": text.encode("ascii")}) for name, text in results.items()]
    for number, start in enumerate(range(0, len(entries), recipe.frames_per_shard)):
        path = f"predictions/{number:05d}.tar"
        data, shard_rows = build_shard(path, entries[start : start + recipe.frames_per_shard])
        out.put(path, data)
        rows += shard_rows
    out.put("index.parquet", index_bytes(rows, {}))
    score = _score(reader, results)
    out.put("metrics.json", json.dumps(score, indent=1).encode())
    summary = score | {
        "init": detector.manifest.summary["init"],
        "split": recipe.split,
        "arm": arm_of(detector),
        "trained_on_split": detector.manifest.recipe["split"],
        "frames_trained_on": num_trained_on,
    }
    counts = {"frames": len(results), "detections": sum(text.count("\n") for text in results.values())}
    licences = dict.fromkeys(frames.manifest.licences + detector.manifest.licences)
    return out.publish(counts, summary, tuple(licences))


def _count_trained_on(frames: Frames, detector: Artifact, split: str) -> int:
    """Frames of the split that the detector was trained on: none, or all when it was trained on this very split."""
    names, manifest = frames.names(split), detector.manifest
    known = trained_on(names, detector)
    own = manifest.inputs["frames"].id, manifest.recipe["split"]
    if known and own != (frames.artifact.id, split):
        raise UsageError(
            f"{len(known)} of the {len(names)} frames of {split!r} in frames {frames.artifact.id[:12]} are among those "
            f"that detector {detector.id[:12]} was trained on (first {known[0]}): the score would be too high. Give "
            f"others. To see what it learned by heart, give what it was trained on: {own[1]!r} of frames {own[0][:12]}."
        )
    return len(known)


def arm_of(detector: Artifact) -> str:
    """What detectors that differ in their seed alone have in common: a digest of recipe, frames and backbone."""
    manifest = detector.manifest
    recipe = {name: value for name, value in manifest.recipe.items() if name != "seed"}
    inputs = {port: ref.id for port, ref in manifest.inputs.items()}
    return sha256_hex(canonical_json({"recipe": recipe, "inputs": inputs}))


def _score(frames: Frames, results: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="olivine-kitti-") as folder:
        found, truth = Path(folder) / "found", Path(folder) / "truth"
        found.mkdir()
        truth.mkdir()
        for name, text in results.items():
            (found / f"{name}.txt").write_text(text)
            (truth / f"{name}.txt").write_text(frames.label_text(name))
        return score_kitti_object(found, truth)
