"""The stage `label`: go through the drives shard by shard, keep each finished shard, publish when all are there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from olivine.artifacts import Artifact, Manifest, Output, Quarantined, begin, canonical_json, sha256_hex
from olivine.artifacts.code import code_version
from olivine.artifacts.group import Group
from olivine.artifacts.parts import load_part, save_part
from olivine.artifacts.shards import cut_shards, finish_shards
from olivine.drives import CAMERAS, Drives
from olivine.errors import DataError, IntegrityError
from olivine.label.done import MEASURED, Done, Tally, finish_keyframe
from olivine.label.instances import join_instances
from olivine.label.labelers import Labeler, make_labeler
from olivine.label.recipe import LabelRecipe
from olivine.label.source import source_digest
from olivine.label.superpixels import check_superpixels, load_superpixel_segmenter, make_superpixels
from olivine.models.vfm.seam import AutomaticSegmenter
from olivine.packs import build_shard, index_bytes
from olivine.progress import Progress
from olivine.quarantine import Quarantine

_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class _Work:
    """What labels a keyframe, and with what."""

    drives: Drives
    labeler: Labeler
    segmenter: AutomaticSegmenter | None
    recipe: LabelRecipe
    identity: dict[str, Any]
    """What determines the labels of a keyframe beside its own bytes."""
    digests: dict[str, str]
    """Of these, by keyframe."""

    def part_key(self, token: str) -> str:
        """Where a keyframe is kept: by its content, so that drives that grew are labelled where they are new."""
        facts = self.identity | {"keyframe": token, "sha256": self.digests[token]}
        return f"parts/label-keyframes/{sha256_hex(canonical_json(facts))}.json"

    @property
    def is_slow(self) -> bool:
        """Whether every keyframe is kept at once, and not only whole shards."""
        return self.labeler.is_slow or self.segmenter is not None

    def label(self, token: str) -> Done | DataError:
        """One keyframe, or what is wrong with it."""
        keyframe = self.drives.keyframe(token)
        try:
            labels = self.labeler.label(self.drives, keyframe)
            wants = self.recipe.superpixels != "none"
            segments = make_superpixels(self.drives, keyframe, labels, self.recipe, self.segmenter) if wants else None
        except IntegrityError:
            # The store is damaged, not the frame: published without it, the labels would stay so after the repair.
            raise
        except DataError as error:
            return error
        return finish_keyframe(self.drives, keyframe, self.labeler, labels, segments)


def run(drives: Artifact, recipe: LabelRecipe) -> Artifact:
    """Label every keyframe of `drives`; return the `weak_labels` artifact, finished earlier or now.

    Raises:
        UsageError: no such class list or folder, no weights named, or superpixels that the labeler cannot give.
            ConfigError: a library or weights that are not there. IntegrityError: other weights than the recipe's.
            DataError: weights of another model; too many masks or images that are missing or broken.
    """
    check_superpixels(recipe)
    labeler = make_labeler(recipe)
    return label_drives(drives, labeler, recipe, {"drives": drives.manifest})


def run_group(drives: Artifact, recipe: LabelRecipe, group: Group) -> int:
    """Label the shards of one group and keep them for `run`, which publishes; nothing is done that is there already.

    A shard with bad frames is not kept, so `run` tries it anew, and its verdict is over all frames.

    Returns:
        How many keyframes of the group are labelled.

    Raises:
        OlivineError: as `run`, but never for bad frames.
    """
    check_superpixels(recipe)
    labeler = make_labeler(recipe)
    out = _begin(drives, labeler, recipe, {"drives": drives.manifest})
    reader = Drives(drives)
    shards = _divide(reader, labeler, recipe)
    own = group.shards(len(shards))
    if isinstance(out, Artifact):
        bad = {item.frame for item in out.manifest.quarantined}
        return sum(token not in bad for number in own for token in shards[number])
    return sum(len(note["rows"]) for note in _label_shards(out, reader, labeler, recipe, shards, own).values())


def label_drives(drives: Artifact, labeler: Labeler, recipe: LabelRecipe, inputs: dict[str, Manifest]) -> Artifact:
    """Label every keyframe by `labeler`; `inputs` are all that it reads. DataError for drives without cameras."""
    out = _begin(drives, labeler, recipe, inputs)
    if isinstance(out, Artifact):
        return out
    reader = Drives(drives)
    shards = _divide(reader, labeler, recipe)
    notes = _label_shards(out, reader, labeler, recipe, shards, _own_first(len(shards)))
    in_order = [notes[number] for number in range(len(shards))]
    return _publish(out, drives, labeler, recipe, in_order, sum(map(len, shards)))


def _begin(drives: Artifact, labeler: Labeler, recipe: LabelRecipe, inputs: dict[str, Manifest]) -> Artifact | Output:
    Drives(drives).require_cameras()
    resolved = recipe.resolved() | {
        "class_list": labeler.classes.model_dump(mode="json"),
        "source": source_digest(recipe),
    }
    # It says how the work is done and changes none of it.
    del resolved["execution"]
    return begin(drives.store, "label", "weak_labels", inputs, resolved, recipe.seed)


def _divide(reader: Drives, labeler: Labeler, recipe: LabelRecipe) -> list[list[str]]:
    """The keyframes of each shard."""
    # As weak labels, hand labels of `test` would be read before the evaluation.
    tokens = reader.tokens("all_train" if labeler.kind == "truth" else None)
    return list(cut_shards(tokens, recipe.keyframes_per_shard).values())


def _label_shards(
    out: Output,
    reader: Drives,
    labeler: Labeler,
    recipe: LabelRecipe,
    shards: list[list[str]],
    numbers: Sequence[int],
) -> dict[int, dict[str, Any]]:
    """Label the shards with these numbers, in this order; the note of each, of this run or of an earlier one."""
    identity = {"recipe": out.recipe, "code": code_version("label").digest}
    work = _Work(reader, labeler, load_superpixel_segmenter(recipe), recipe, identity, reader.column("sha256"))
    own = {number: shards[number] for number in numbers}
    with Progress("label", sum(map(len, own.values())), "keyframes") as progress:
        return finish_shards(
            out, own, progress, lambda number, tokens: _label_shard(out, work, tokens, number, progress)
        )


def _own_first(num_shards: int) -> list[int]:
    """The order in which this process of several (torchrun) takes the shards: its own, then what others left.

    They share nothing but the store, in which each finds what the others have finished: one that dies leaves its
    shards to the rest.
    """
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    return sorted(range(num_shards), key=lambda number: ((number - rank) % processes, number))


def _label_shard(out: Output, work: _Work, tokens: list[str], number: int, progress: Progress) -> dict[str, Any]:
    """Label one shard's keyframes, write it, and keep it as a part. The note holds its index rows and counts."""
    path, instances_path = f"shards/{number:05d}.tar", f"instances/{number:05d}.parquet"
    tally, entries, instances = Tally(), [], []
    quarantine = Quarantine("label")
    for token, result in zip(tokens, _label_keyframes(out, work, tokens, progress), strict=True):
        if isinstance(result, DataError):
            quarantine.add(token, str(result))
            continue
        tally.add(result.confusion, result.pixels, result.num_segments)
        entries.append(result.entry)
        instances += [result.instances] if result.instances else []
    data, rows = build_shard(path, entries)
    out.put(path, data)
    paths = [path]
    if instances:
        out.put(instances_path, join_instances(instances))
        paths.append(instances_path)
    bad = [item.model_dump() for item in quarantine.frames]
    note = {"rows": rows, "tally": tally.to_note(), "quarantined": bad}
    if not bad:
        # A shard with bad frames is tried anew by the next run: they may have been repaired.
        out.save_part(f"shard-{number:05d}", paths, note)
    return note


def _label_keyframes(out: Output, work: _Work, tokens: list[str], progress: Progress) -> Iterator[Done | DataError]:
    """The keyframes in their order, several under way at once; where it takes long, the first new one alone, timed."""

    def do(token: str) -> tuple[Done | DataError, bool]:
        kept = load_part(out.store, work.part_key(token)) if work.is_slow else None
        if kept:
            return Done.from_note(kept.note), False
        result = work.label(token)
        if work.is_slow and isinstance(result, Done):
            save_part(out.store, work.part_key(token), [], result.to_note())
        return result, True

    rest = iter(tokens)
    if work.is_slow and "estimate" not in out.recorder.facts:
        for token in rest:
            start = time.monotonic()
            result, is_fresh = do(token)
            _count(progress, is_fresh)
            is_measured = is_fresh and isinstance(result, Done)
            if is_measured:
                # Alone, before the others begin: two at once would each take longer.
                out.recorder.facts["estimate"] = _estimate(time.monotonic() - start, progress.total - progress.done)
            yield result
            if is_measured:
                break
    with ThreadPoolExecutor(max_workers=work.recipe.execution.workers) as pool:
        for result, is_fresh in pool.map(do, rest):
            _count(progress, is_fresh)
            yield result


def _count(progress: Progress, is_fresh: bool) -> None:
    if is_fresh:
        progress.advance()
    else:
        progress.skip(1)


def _estimate(seconds: float, num_keyframes: int) -> dict[str, float]:
    """What the other keyframes will cost, said and returned for the run's record: one keyframe has shown it."""
    images, image_s = num_keyframes * len(CAMERAS), seconds / len(CAMERAS)
    hours = images * image_s / _SECONDS_AN_HOUR
    print(
        f"label: {images} images to go, {image_s:.2g} s an image, about {hours:.2g} h on this device", file=sys.stderr
    )
    return {"images": images, "image_s": round(image_s, 4), "hours": round(hours, 6)}


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
    tally = Tally()
    for note in notes:
        tally.add(**note["tally"])
    num_classes = len(labeler.classes.names)
    summary = {
        "kind": labeler.kind,
        "classes": labeler.classes.names,
        "pairs_by_class": tally.confusion[:, :num_classes].sum(axis=0).tolist(),
        "pixels_by_class": tally.pixels[0, :num_classes].tolist(),
        "unpainted_pixels": int(tally.pixels[0, 255]),
        **_accuracy(tally.confusion, labeler),
        **_describe_superpixels(recipe, tally.num_segments),
    }
    counts = {
        "keyframes": sum(len(note["rows"]) for note in notes),
        "pairs": int(tally.confusion.sum()),
        "labelled_pairs": int(tally.confusion[:, :255].sum()),
    }
    return out.publish(counts, summary, drives.manifest.licences, tuple(quarantine.frames))


def _accuracy(confusion: NDArray[np.int64], labeler: Labeler) -> dict[str, float | None]:
    """Share of right labels among labelled pairs, and of labelled among all, where the truth is a weak class."""
    known = confusion[:255]
    total, labelled = int(known.sum()), int(known[:, :255].sum())
    if labeler.kind not in MEASURED or not labelled:
        return {"accuracy": None, "coverage": None}
    return {"accuracy": float(np.trace(known[:, :255]) / labelled), "coverage": labelled / total}


def _describe_superpixels(recipe: LabelRecipe, num_segments: list[int]) -> dict[str, Any]:
    """What the summary says of superpixels, where there are some: their kind, and how many there are in an image."""
    if recipe.superpixels == "none":
        return {}
    counts = num_segments or [0]
    segments = {"mean_segments": float(np.mean(counts)), "fewest_segments": min(counts), "most_segments": max(counts)}
    return {"superpixels": {"kind": recipe.superpixels, **segments}}
