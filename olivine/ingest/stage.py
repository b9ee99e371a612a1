"""The stage `ingest`: go through the keyframes shard by shard, keep each finished shard, publish when all are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from olivine.artifacts import Artifact, Output, Quarantined, begin
from olivine.artifacts.withdrawn import withdrawals
from olivine.drives.classes import nuscenes_classes
from olivine.errors import DataError
from olivine.ingest.keyframes import CAMERA_CHANNELS, Keyframe, KeyframeTable
from olivine.ingest.nuscenes import read_keyframes
from olivine.ingest.pack import Packed, pack_keyframe
from olivine.ingest.recipe import IngestRecipe
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
_LICENCES = {"synthetic": ("Apache-2.0 (synthetic drives of olivine)",)}
_NUSCENES_LICENCE = ("CC BY-NC-SA 4.0 and the nuScenes Terms of Use (non-commercial)",)


def run(root: Path, store: Store, recipe: IngestRecipe) -> Artifact:
    """Pack the keyframes of the data set at `root` in nuScenes v1.0 layout; return the `drives` artifact.

    Drives that were withdrawn from the store are left out.

    Raises:
        DataError: no such version, a table that is broken, or more than 5 % of the keyframes are bad.
    """
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
    notes = []
    with Progress("ingest", len(table), "keyframes") as progress:
        for number, start in enumerate(range(0, len(table), recipe.keyframes_per_shard)):
            part = [table[row] for row in range(start, min(start + recipe.keyframes_per_shard, len(table)))]
            note = out.load_part(f"shard-{number:05d}")
            if note:
                progress.skip(len(part))
            else:
                note = _pack_shard(out, root, part, splits, number, recipe, progress)
            notes.append(note)
    return _publish(out, root, len(table), image_size, notes)


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


def _pack_shard(
    out: Output,
    root: Path,
    keyframes: Sequence[Keyframe],
    splits: Mapping[str, str],
    number: int,
    recipe: IngestRecipe,
    progress: Progress,
) -> dict[str, Any]:
    """Pack one shard of each kind and keep them as a part. The note holds the index rows and the bad frames."""

    def work(keyframe: Keyframe) -> Packed | str:
        try:
            return pack_keyframe(root, keyframe, splits[keyframe.scene], recipe)
        except DataError as error:
            return str(error)

    packed, bad = [], []
    # Threads: decoding and hashing release the interpreter lock.
    with ThreadPoolExecutor() as pool:
        for keyframe, result in zip(keyframes, pool.map(work, keyframes), strict=True):
            if isinstance(result, str):
                bad.append({"frame": f"{keyframe.scene}/{keyframe.token}", "reason": result})
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
    out: Output, root: Path, num_keyframes: int, image_size: tuple[int, int], notes: list[dict[str, Any]]
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
        "image_size": image_size,
        "scenes": {split: _scenes(keyframes, split) for split in ("train", "select", "test")},
        "drives": sorted({row["drive"] for row in keyframes}),
        "synthetic": (root / "synth.json").exists(),
        **nuscenes_classes(),
    }
    licences = _LICENCES["synthetic"] if summary["synthetic"] else _NUSCENES_LICENCE
    return out.publish(counts, summary, licences, tuple(quarantine.frames))


def _scenes(rows: list[dict[str, Any]], split: str) -> list[str]:
    return list(dict.fromkeys(row["scene"] for row in rows if row["split"] == split))
