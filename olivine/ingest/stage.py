"""The stage `ingest`: go through the keyframes shard by shard, keep each finished shard, publish when all are there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from olivine.artifacts import Artifact, Output, Quarantined, begin
from olivine.artifacts.shards import cut_shards, finish_shards
from olivine.artifacts.withdrawn import withdrawals
from olivine.datasets import DataSetTable, load_table
from olivine.drives.classes import nuscenes_classes
from olivine.errors import DataError
from olivine.ingest.keyframes import CAMERA_CHANNELS, KeyframeTable
from olivine.ingest.nuscenes import read_keyframes
from olivine.ingest.pack import Packed, pack_keyframe
from olivine.ingest.recipe import IngestRecipe
from olivine.ingest.scan_set import find_frames, pack_scan, scan_facts, scan_source_digest
from olivine.ingest.source import source_digest
from olivine.ingest.splits import assign_splits
from olivine.packs import build_shard, index_bytes
from olivine.progress import Progress
from olivine.quarantine import Quarantine
from olivine.store import Store

_COLUMNS = {
    "scene": pa.string(),
    "drive": pa.string(),
    "split": pa.string(),
    "timestamp_us": pa.int64(),
    "lidar_token": pa.string(),
    "num_points": pa.int64(),
    "num_pairs": pa.int64(),
}
_PACKS: dict[str, dict[str, pa.DataType]] = {
    "keyframe": _COLUMNS,
    "lidarseg": {"num_labelled": pa.int64()},
    "simulation": {},
}
_INDEX = {"keyframe": "index.parquet", "lidarseg": "lidarseg_index.parquet", "simulation": "simulation_index.parquet"}
_FOLDER = {"keyframe": "shards", "lidarseg": "lidarseg", "simulation": "simulation"}
_NUSCENES = "nuscenes"
_SYNTHETIC_LICENCE = ("Apache-2.0 (synthetic drives of olivine)",)
_NUSCENES_LICENCE = ("CC BY-NC-SA 4.0 and the nuScenes Terms of Use (non-commercial)",)

_Job = tuple[str, Callable[[], Packed]]
"""Name of a keyframe, and what packs it or raises DataError."""


def run(root: Path, store: Store, recipe: IngestRecipe) -> Artifact:
    """Pack the keyframes of the raw drives at `root`; return the `drives` artifact.

    Drives that were withdrawn from the store are left out.

    Raises:
        DataError: no such version, a table that is broken, files that are missing, or more than 5 % of the keyframes
            are bad.
        UsageError: no such data set.
    """
    if recipe.dataset != _NUSCENES:
        return _run_scans(root, store, recipe, load_table(recipe.dataset))
    whole = read_keyframes(root, recipe.version)
    withdrawn = sorted(whole.drives & withdrawals(store).keys())
    table = whole.without(withdrawn) if withdrawn else whole
    if withdrawn and len(table) == 0:
        raise DataError(f"all drives of {root / recipe.version} were withdrawn: `olivine drives list` says why.")
    if len(table) == 0:
        raise DataError(f"{root / recipe.version} has no keyframes: its sample table is empty.")
    splits = assign_splits(whole.scenes, recipe.version, root)
    image_size = _image_size(table)
    resolved = recipe.resolved() | {"source": source_digest(root, recipe.version, table)}
    if withdrawn:
        resolved["withdrawn"] = withdrawn
    out = begin(store, "ingest", "drives", {}, resolved, seed=0)
    if isinstance(out, Artifact):
        return out

    def job(row: int) -> _Job:
        keyframe = table[row]
        work = functools.partial(pack_keyframe, root, keyframe, splits[keyframe.scene], recipe)
        return f"{keyframe.scene}/{keyframe.token}", work

    notes = _pack_all(out, len(table), job, recipe.keyframes_per_shard)
    facts = {"image_size": image_size, **nuscenes_classes()}
    return _publish(out, root, len(table), facts, _NUSCENES_LICENCE, notes)


def _run_scans(root: Path, store: Store, recipe: IngestRecipe, table: DataSetTable) -> Artifact:
    """The same for a data set of scans. Its table is part of the identity; nothing of cameras is."""
    whole = find_frames(table, root)
    gone = withdrawals(store).keys()
    frames = [frame for frame in whole if frame.drive not in gone]
    if not frames:
        raise DataError(f"all sequences of {root} were withdrawn: `olivine drives list` says why.")
    resolved: dict[str, Any] = {
        "dataset": table.name,
        "keyframes_per_shard": recipe.keyframes_per_shard,
        "table": table.model_dump(mode="json"),
        "source": scan_source_digest(root, frames),
    }
    if len(frames) < len(whole):
        resolved["withdrawn"] = sorted({frame.drive for frame in whole if frame.drive in gone})
    out = begin(store, "ingest", "drives", {}, resolved, seed=0)
    if isinstance(out, Artifact):
        return out

    def job(row: int) -> _Job:
        return frames[row].name, functools.partial(pack_scan, table, frames[row])

    notes = _pack_all(out, len(frames), job, recipe.keyframes_per_shard)
    return _publish(out, root, len(frames), {"image_size": None, **scan_facts(table)}, (table.licence,), notes)


def _image_size(table: KeyframeTable) -> tuple[int, int]:
    """(width, height) of all images; DataError when they differ: the artifact knows one size."""
    usable = [row for row, problem in enumerate(table.columns["problem"].to_pylist()) if problem is None]
    sizes = {
        (int(width), int(height))
        for channel in CAMERA_CHANNELS
        for width, height in np.unique(
            [table.columns[f"{channel}.{side}_px"].take(usable).to_pylist() for side in ("width", "height")], axis=1
        ).T
    }
    if len(sizes) > 1:
        raise DataError(f"images of several sizes, {sorted(sizes)}: ingest each rig by itself, or resize them to one.")
    return next(iter(sizes), (0, 0))


def _pack_all(out: Output, num_keyframes: int, job: Callable[[int], _Job], per_shard: int) -> list[dict[str, Any]]:
    """Pack the keyframes shard by shard, going on after those that an earlier run finished; the note of each shard."""
    shards = cut_shards(range(num_keyframes), per_shard)
    with Progress("ingest", num_keyframes, "keyframes") as progress:
        made = finish_shards(
            out, shards, progress, lambda number, rows: _pack_shard(out, [job(row) for row in rows], number, progress)
        )
    return list(made.values())


def _pack_shard(out: Output, jobs: Sequence[_Job], number: int, progress: Progress) -> dict[str, Any]:
    """Pack one shard of each kind and keep them as a part. The note holds the index rows and the bad frames."""

    def attempt(work: Callable[[], Packed]) -> Packed | str:
        try:
            return work()
        except DataError as error:
            return str(error)

    packed, bad = [], []
    # Threads: decoding and hashing release the interpreter lock.
    with ThreadPoolExecutor() as pool:
        results = pool.map(attempt, [work for _, work in jobs])
        for (name, _), result in zip(jobs, results, strict=True):
            if isinstance(result, str):
                bad.append({"frame": name, "reason": result})
            else:
                packed.append(result)
            progress.advance()
    rows, paths = {}, []
    for pack in _PACKS:
        entries = [entry for item in packed if (entry := getattr(item, pack)) is not None]
        path = f"{_FOLDER[pack]}/{number:05d}.tar"
        data, rows[pack] = build_shard(path, entries)
        if entries:
            out.put(path, data)
            paths.append(path)
    note = {"rows": rows, "quarantined": bad}
    if not bad:
        # A shard with bad frames is read anew by the next run: they may have been repaired.
        out.save_part(f"shard-{number:05d}", paths, note)
    return note


def _publish(
    out: Output,
    root: Path,
    num_keyframes: int,
    facts: dict[str, Any],
    licences: tuple[str, ...],
    notes: list[dict[str, Any]],
) -> Artifact:
    quarantine = Quarantine("ingest")
    quarantine.frames = [Quarantined.model_validate(item) for note in notes for item in note["quarantined"]]
    quarantine.check(num_keyframes)
    rows = {pack: [row for note in notes for row in note["rows"][pack]] for pack in _PACKS}
    for pack, columns in _PACKS.items():
        if rows[pack]:
            out.put(_INDEX[pack], index_bytes(rows[pack], columns))
    keyframes = rows["keyframe"]
    counts = {
        "keyframes_in": num_keyframes,
        "keyframes": len(keyframes),
        "quarantined": len(quarantine.frames),
        "points": sum(row["num_points"] for row in keyframes),
        "pairs": sum(row["num_pairs"] for row in keyframes),
        "lidarseg": len(rows["lidarseg"]),
    }
    summary = {
        "scenes": {split: _scenes(keyframes, split) for split in ("train", "select", "test")},
        "drives": sorted({row["drive"] for row in keyframes}),
        "synthetic": (root / "synth.json").exists(),
        **facts,
    }
    if summary["synthetic"]:
        licences = _SYNTHETIC_LICENCE
    return out.publish(counts, summary, licences, tuple(quarantine.frames))


def _scenes(rows: list[dict[str, Any]], split: str) -> list[str]:
    return list(dict.fromkeys(row["scene"] for row in rows if row["split"] == split))
