"""The stage `weigh`: pool keyframes as batches will, estimate density and category counts, weigh every pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from olivine.artifacts import Artifact, Output, begin
from olivine.artifacts.shards import cut_shards, finish_shards
from olivine.drives import Drives
from olivine.packs import Entry, Pack, array_bytes, build_shard, bytes_array, index_bytes
from olivine.points.density import estimate_density
from olivine.points.frequency import category_frequency, look_up_frequency, sampling_weights
from olivine.points.voxelize import radial_index
from olivine.progress import Progress
from olivine.weigh.recipe import WeighRecipe

_IGNORE_ID = 255
_PROFILE_BIN_M = 1.0


@dataclass(frozen=True)
class _Pairs:
    """Radial bin and weak label of each pair of one keyframe."""

    token: str
    radial_M: NDArray[np.int32]
    label_M: NDArray[np.uint8]


def run(drives: Artifact, weak_labels: Artifact, recipe: WeighRecipe) -> Artifact:
    """Weigh every pair of every labelled keyframe that may be trained on; return the `density_weights` artifact.

    Raises:
        UsageError: the labels were made from other drives.
    """
    weak_labels.require_made_from("drives", drives)
    inputs = {"drives": drives.manifest, "weak_labels": weak_labels.manifest}
    out = begin(drives.store, "weigh", "density_weights", inputs, recipe.resolved(), recipe.seed)
    if isinstance(out, Artifact):
        return out
    reader, labels = Drives(drives), Pack(weak_labels)
    # Nothing is trained on `test`, and a pool is shared: its frames would move the weights of others.
    tokens = [token for token in reader.tokens("all_train") if labels.index.position(token) is not None]
    shards = cut_shards(tokens, recipe.keyframes_per_shard)
    with Progress("weigh", len(tokens), "keyframes") as progress:
        made = finish_shards(
            out,
            shards,
            progress,
            lambda number, part: _weigh_shard(out, reader, labels, part, number, recipe, progress),
        )
    notes = list(made.values())
    out.put("index.parquet", index_bytes([row for note in notes for row in note["rows"]], {"num_pairs": pa.int64()}))
    summary = {"variant": recipe.variant, "profile_bin_m": _PROFILE_BIN_M, "profile": _merge_profiles(notes)}
    counts = {"keyframes": len(tokens), "pairs": sum(note["pairs"] for note in notes)}
    return out.publish(counts, summary, drives.manifest.licences)


def _weigh_shard(
    out: Output,
    drives: Drives,
    labels: Pack,
    tokens: list[str],
    number: int,
    recipe: WeighRecipe,
    progress: Progress,
) -> dict[str, Any]:
    """Weigh one shard's keyframes, pooled in a seeded random order as batches mix them."""
    order = np.random.default_rng((recipe.seed, number)).permutation(len(tokens))
    entries: dict[str, Entry] = {}
    profile = np.zeros((0, 2))
    for start in range(0, len(order), recipe.pool_keyframes):
        pool = [
            _read_pairs(drives, labels, tokens[row], recipe) for row in order[start : start + recipe.pool_keyframes]
        ]
        weight_P = _weigh_pool(pool, recipe)
        profile = _add_profiles(profile, _profile(pool, weight_P, recipe))
        for pairs, weight_M in zip(
            pool, np.split(weight_P, np.cumsum([len(p.label_M) for p in pool])[:-1]), strict=True
        ):
            head = {"pair_label.npy": array_bytes(pairs.label_M), "pair_weight.npy": array_bytes(weight_M)}
            entries[pairs.token] = Entry(pairs.token, head, columns={"num_pairs": len(weight_M)})
        progress.advance(len(pool))
    path = f"shards/{number:05d}.tar"
    data, rows = build_shard(path, [entries[token] for token in tokens])
    out.put(path, data)
    note = {"rows": rows, "pairs": sum(row["num_pairs"] for row in rows), "profile": profile.tolist()}
    out.save_part(f"shard-{number:05d}", [path], note)
    return note


def _read_pairs(drives: Drives, labels: Pack, token: str, recipe: WeighRecipe) -> _Pairs:
    keyframe = drives.keyframe(token)
    radial_N = radial_index(keyframe.points_N4[:, :3], recipe.bin_m)
    return _Pairs(token, radial_N[keyframe.pair_point_M], bytes_array(labels.head(token)["pair_label.npy"]))


def _weigh_pool(pool: list[_Pairs], recipe: WeighRecipe) -> NDArray[np.float32]:
    """Weights float32 of all pairs of a pool; they sum to its number of keyframes, 0 for pairs without a weak label."""
    label_P = np.concatenate([pairs.label_M for pairs in pool])
    # The density is that of all pairs, labelled or not: it is about the sensor, not about the labels.
    density_P = estimate_density(np.concatenate([pairs.radial_M for pairs in pool]))
    # One beyond the greatest id: then the id of unlabelled pairs counts as any other.
    num_ids, ignored = (_IGNORE_ID, _IGNORE_ID) if recipe.unlabelled == "ignored" else (_IGNORE_ID + 1, None)
    count_P = look_up_frequency(label_P, category_frequency(label_P, num_ids, ignored))
    weight_P: NDArray[np.float32] = (sampling_weights(density_P, count_P, recipe.variant) * len(pool)).astype(
        np.float32
    )
    return weight_P


def _profile(pool: list[_Pairs], weight_P: NDArray[np.float32], recipe: WeighRecipe) -> NDArray[np.float64]:
    """Sum of weights and number of pairs by radial distance, for the report: float64 [bins, 2]."""
    radial_P = np.concatenate([pairs.radial_M for pairs in pool]) * recipe.bin_m
    bins_P = (radial_P / _PROFILE_BIN_M).astype(np.int64)
    return np.stack([np.bincount(bins_P, weight_P), np.bincount(bins_P)], axis=1)


def _add_profiles(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros((max(len(first), len(second)), 2))
    total[: len(first)] += first
    total[: len(second)] += second
    return total


def _merge_profiles(notes: list[dict[str, Any]]) -> list[list[float]]:
    total = np.zeros((0, 2))
    for note in notes:
        total = _add_profiles(total, np.asarray(note["profile"]))
    return [[round(float(weight), 6), int(count)] for weight, count in total]
