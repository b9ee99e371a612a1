"""The stage `evaluate`: predict every point of a split, count, score, and keep the predictions."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from olivine.artifacts import Artifact, begin
from olivine.drives import Drives
from olivine.errors import DataError
from olivine.evaluate.load import load_segmenter, require_fit
from olivine.evaluate.recipe import EvaluateRecipe
from olivine.metrics.confusion import Confusion
from olivine.metrics.score import score_confusion
from olivine.models.predict import predict_keyframes
from olivine.packs import Entry, array_bytes, build_shard, index_bytes
from olivine.progress import Progress


def run(drives: Artifact, segmenter: Artifact, recipe: EvaluateRecipe) -> Artifact:
    """Score `segmenter` on the hand labels of a split; return the `metrics` artifact.

    Raises:
        DataError: the split is empty or has no hand labels; UsageError: these drives have other classes.
    """
    require_fit(segmenter, drives)
    inputs = {"drives": drives.manifest, "segmenter": segmenter.manifest}
    out = begin(drives.store, "evaluate", "metrics", inputs, recipe.resolved(), segmenter.manifest.seed)
    if isinstance(out, Artifact):
        return out
    reader = Drives(drives)
    tokens = reader.tokens(recipe.split)
    if not tokens:
        raise DataError(f"drives {drives.id[:12]} have no keyframe in the split {recipe.split!r}.")
    (model, network), confusion = load_segmenter(segmenter), Confusion(reader.num_ids)
    entries = []
    with Progress("evaluate", len(tokens), "keyframes") as progress:
        for token, category_N in predict_keyframes(model, reader, network, tokens):
            confusion.add(reader.lidarseg(token), category_N, token)
            entries.append(Entry(token, {"category.npy": array_bytes(category_N)}, columns={"split": recipe.split}))
            progress.advance()
    rows: list[dict[str, Any]] = []
    for number, start in enumerate(range(0, len(entries), recipe.keyframes_per_shard)):
        path = f"predictions/{number:05d}.tar"
        data, shard_rows = build_shard(path, entries[start : start + recipe.keyframes_per_shard])
        out.put(path, data)
        rows += shard_rows
    out.put("index.parquet", index_bytes(rows, {"split": pa.string()}))
    out.put("confusion.npy", array_bytes(confusion.counts_CC))
    score = score_confusion(confusion, len(tokens), reader.class_names).as_json()
    out.put("metrics.json", json.dumps(score, indent=1).encode())
    summary = score | {name: segmenter.manifest.summary[name] for name in ("init", "fraction", "frozen")}
    summary["trained_on"] = len(set(tokens) & set(segmenter.manifest.summary.get("keyframes", [])))
    counts = {"keyframes": len(tokens), "points": int(confusion.counts_CC.sum())}
    licences = dict.fromkeys(drives.manifest.licences + segmenter.manifest.licences)
    return out.publish(
        counts, summary | {"split": recipe.split, "class_names": list(reader.class_names)}, tuple(licences)
    )
