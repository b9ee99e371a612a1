"""The stage `label`: go through the drives shard by shard, keep each finished shard, publish when all are there."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from olivine.artifacts import Artifact, Output, Quarantined, begin
from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.errors import DataError, IntegrityError
from olivine.label.labelers import Labeler, Labels, make_labeler
from olivine.label.recipe import LabelRecipe
from olivine.label.source import source_digest
from olivine.label.superpixels import check_superpixels, make_superpixels
from olivine.packs import Entry, array_bytes, build_shard, index_bytes
from olivine.packs.superpixels import superpixel_members
from olivine.progress import Progress
from olivine.quarantine import Quarantine

_NUM_IDS = 256


def run(drives: Artifact, recipe: LabelRecipe) -> Artifact:
    """Label every keyframe of `drives`; return the `weak_labels` artifact, finished earlier or now.

    Raises:
        UsageError: no such class list or folder, or superpixels that the labeler cannot give. ConfigError: they need
            a library that is not installed. DataError: too many masks or images that are missing or broken.
    """
    check_superpixels(recipe)
    labeler = make_labeler(recipe)
    resolved = recipe.resolved() | {
        "class_list": labeler.classes.model_dump(mode="json"),
        "source": source_digest(recipe),
    }
    out = begin(drives.store, "label", "weak_labels", {"drives": drives.manifest}, resolved, recipe.seed)
    if isinstance(out, Artifact):
        return out
    reader = Drives(drives)
    # As weak labels, hand labels of `test` would be read before the evaluation.
    tokens = reader.tokens("all_train" if labeler.kind == "truth" else None)
    parts = [tokens[i : i + recipe.keyframes_per_shard] for i in range(0, len(tokens), recipe.keyframes_per_shard)]
    notes: list[dict[str, Any]] = []
    with Progress("label", len(tokens), "keyframes") as progress:
        for number, part in enumerate(parts):
            note = out.load_part(f"shard-{number:05d}")
            if note:
                progress.skip(len(part))
            else:
                note = _label_shard(out, reader, labeler, part, number, recipe, progress)
            notes.append(note)
    return _publish(out, drives, labeler, recipe, notes, len(tokens))


def _label_shard(
    out: Output,
    drives: Drives,
    labeler: Labeler,
    tokens: list[str],
    number: int,
    recipe: LabelRecipe,
    progress: Progress,
) -> dict[str, Any]:
    """Label one shard's keyframes, write it, and keep it as a part. The note holds its index rows and counts."""
    path = f"shards/{number:05d}.tar"
    confusion = np.zeros((_NUM_IDS, _NUM_IDS), np.int64)
    entries = []
    num_segments: list[int] = []
    quarantine = Quarantine("label")

    def work(token: str) -> tuple[NDArray[np.int64], Entry, list[int]] | DataError:
        keyframe = drives.keyframe(token)
        try:
            labels = labeler.label(drives, keyframe)
            segments, counts = _segments(drives, keyframe, labels, recipe)
        except IntegrityError:
            # The store is damaged, not the frame: published without it, the labels would stay so after the repair.
            raise
        except DataError as error:
            return error
        truth_M = _truth(drives, labeler, token, keyframe.pair_point_M)
        counted = np.bincount(truth_M.astype(np.int64) * _NUM_IDS + labels.pair_label_M, minlength=_NUM_IDS**2)
        return counted.reshape(_NUM_IDS, _NUM_IDS), _entry(token, labels, segments), counts

    with ThreadPoolExecutor(max_workers=2) as pool:
        for token, result in zip(tokens, pool.map(work, tokens), strict=True):
            if isinstance(result, DataError):
                quarantine.add(token, str(result))
            else:
                confusion += result[0]
                entries.append(result[1])
                num_segments += result[2]
            progress.advance()
    data, rows = build_shard(path, entries)
    out.put(path, data)
    true, given = np.nonzero(confusion)
    counts = [[int(t), int(g), int(confusion[t, g])] for t, g in zip(true, given, strict=True)]
    bad = [item.model_dump() for item in quarantine.frames]
    note = {"rows": rows, "confusion": counts, "num_segments": num_segments, "quarantined": bad}
    if not bad:
        # A shard with bad frames is tried anew by the next run: they may have been repaired.
        out.save_part(f"shard-{number:05d}", [path], note)
    return note


def _truth(drives: Drives, labeler: Labeler, token: str, pair_point_M: NDArray[np.int32]) -> NDArray[np.uint8]:
    """True weak class of each pair, to measure simulated labels with; 255 wherever truth must not or cannot be read.

    Hand labels of `test` are for the evaluation alone.
    """
    if labeler.kind == "import" or drives.split(token) == "test" or not drives.has_lidarseg(token):
        return np.full(len(pair_point_M), 255, np.uint8)
    truth_M: NDArray[np.uint8] = labeler.classes.from_nuscenes()[drives.lidarseg(token)[pair_point_M]]
    return truth_M


def _segments(
    drives: Drives, keyframe: Keyframe, labels: Labels, recipe: LabelRecipe
) -> tuple[dict[str, bytes], list[int]]:
    """Members of the head that hold the superpixels, and their number in each image, where the recipe wants some."""
    if recipe.superpixels == "none":
        return {}, []
    superpixels, counts = make_superpixels(drives, keyframe, labels.masks, recipe)
    return superpixel_members(superpixels), counts


def _entry(token: str, labels: Labels, segments: dict[str, bytes]) -> Entry:
    confidence_M = np.where(labels.pair_label_M == 255, 0, 255).astype(np.uint8)
    head = {"pair_label.npy": array_bytes(labels.pair_label_M), "pair_confidence.npy": array_bytes(confidence_M)}
    masks = zip(CAMERAS, labels.masks or (), strict=False)
    head |= segments
    tail = {f"{camera}.png": _encode_png(mask) for camera, mask in masks}
    return Entry(token, head, tail, {"num_pairs": len(labels.pair_label_M)})


def _encode_png(mask_HW: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask_HW).save(buffer, "png", compress_level=3)
    return buffer.getvalue()


def _publish(
    out: Output,
    drives: Artifact,
    labeler: Labeler,
    recipe: LabelRecipe,
    notes: list[dict[str, Any]],
    num_keyframes: int,
) -> Artifact:
    quarantine = Quarantine("label")
    quarantine.frames = [Quarantined.model_validate(item) for note in notes for item in note["quarantined"]]
    quarantine.check(num_keyframes)
    out.put("index.parquet", index_bytes([row for note in notes for row in note["rows"]], {"num_pairs": pa.int64()}))
    out.put("classes.json", labeler.classes.model_dump_json(indent=1).encode())
    confusion = np.zeros((_NUM_IDS, _NUM_IDS), np.int64)
    for true, given, count in (cell for note in notes for cell in note["confusion"]):
        confusion[true, given] += count
    pairs, labelled = int(confusion.sum()), int(confusion[:, :255].sum())
    summary = {
        "kind": labeler.kind,
        "classes": labeler.classes.names,
        "pairs_by_class": confusion[:, : len(labeler.classes.names)].sum(axis=0).tolist(),
        **_accuracy(confusion, labeler),
        **_describe_superpixels(recipe, [count for note in notes for count in note["num_segments"]]),
    }
    counts = {"keyframes": sum(len(note["rows"]) for note in notes), "pairs": pairs, "labelled_pairs": labelled}
    return out.publish(counts, summary, drives.manifest.licences, tuple(quarantine.frames))


def _accuracy(confusion: NDArray[np.int64], labeler: Labeler) -> dict[str, float | None]:
    """Share of right labels among labelled pairs, and of labelled among all, where the truth is a weak class."""
    known = confusion[:255]
    total, labelled = int(known.sum()), int(known[:, :255].sum())
    if labeler.kind == "import" or not labelled:
        return {"accuracy": None, "coverage": None}
    return {"accuracy": float(np.trace(known[:, :255]) / labelled), "coverage": labelled / total}


def _describe_superpixels(recipe: LabelRecipe, num_segments: list[int]) -> dict[str, Any]:
    """What the summary says of superpixels, where there are some: their kind, and how many there are in an image."""
    if recipe.superpixels == "none":
        return {}
    counts = num_segments or [0]
    segments = {"mean_segments": float(np.mean(counts)), "fewest_segments": min(counts), "most_segments": max(counts)}
    return {"superpixels": {"kind": recipe.superpixels, **segments}}
