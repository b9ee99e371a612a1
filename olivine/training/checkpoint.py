"""Checkpoints by the manifest rule: an artifact of its own kind, found through one small ref.

Every process writes its shard, the first one then writes the manifest that lists them all, and the ref moves last. So
whoever resumes finds a complete checkpoint, whatever instant any process was killed at; a damaged one is passed over.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from olivine.artifacts import Artifact, Output, begin, open_artifact, sha256_hex
from olivine.artifacts.record import records_folder
from olivine.errors import IntegrityError, PeerError, StoreError
from olivine.store import Ref
from olivine.training.tensors import bytes_tensors, tensors_pieces

_ATTEMPTS = 16
_AT_ONCE = 4
_FILE_BYTES = 2**26
"""What a file of a larger set of tensors holds: several are hashed, written and read at once."""
_CUT = "="
_POLL_S = 0.02


@dataclass(frozen=True)
class Checkpoint:
    """The state after `step` optimiser steps: named sets of tensors, and JSON notes such as the history."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    notes: dict[str, Any]
    mean_loss: float | None = None
    """Mean training loss of the steps before it: the lowest of all is the best checkpoint. None: not compared."""


@dataclass(frozen=True)
class Place:
    """Which of the processes that write a checkpoint this is. `run` is one word for all of them, new in every run."""

    rank: int
    size: int
    run: str
    patience_s: float = 600.0


@dataclass(frozen=True)
class Keep:
    """Checkpoints that stay: the last few, and beside them the one with the lowest mean loss."""

    last: int = 3
    best: bool = True


_KEEP = Keep()


def save_checkpoint(out: Output, checkpoint: Checkpoint, place: Place | None = None, keep: Keep = _KEEP) -> int:
    """Write this process's shard; the first process then commits the checkpoint and lets go of the oldest.

    Args:
        out: the artifact in the making that the checkpoint belongs to.
        checkpoint: what this process adds. Names of tensors are apart from process to process; notes are the first's.
        place: this process among all; None for the only one.
        keep: which checkpoints stay.

    Returns:
        Bytes that this process wrote.

    Raises:
        PeerError: another process's shard did not come.
    """
    place = place or Place(0, 1, out.recorder.run)
    recipe = out.recipe | {"checkpoint_of": out.id, "step": checkpoint.step, "run": place.run, "shards": place.size}
    target = begin(out.store, out.stage, "checkpoint", out.inputs, recipe, out.seed)
    if isinstance(target, Artifact):
        _move_ref(out, _entry(target), keep)
        return 0
    # The run in every file: no other artifact then has the same bytes, and all of them may go with the checkpoint.
    mark = {"checkpoint": target.id, "run": place.run}
    # Several files at once: while one waits for the disk or the network, another is hashed.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        puts = [
            pool.submit(target.put, f"{name}.safetensors", tensors_pieces(tensors, mark))
            for name, tensors in _files(checkpoint.tensors)
        ]
    size_bytes = sum(put.result().size_bytes for put in puts)
    target.save_part(_part(place.rank), sorted(target.data), {})
    if place.rank == 0:
        _wait_for_shards(target, place)
        notes = {"notes": checkpoint.notes, "recipe_sha256": _recipe_digest(out), **mark}
        target.put("notes.json", json.dumps(notes).encode())
        judged = {} if checkpoint.mean_loss is None else {"mean_loss": checkpoint.mean_loss}
        published = target.publish({"step": checkpoint.step}, judged, ())
        _move_ref(out, _entry(published), keep)
        for rank in range(place.size):
            target.drop_part(_part(rank))
    return size_bytes


def load_checkpoint(out: Output) -> Checkpoint | None:
    """The newest sound checkpoint of this artifact; None when there is none.

    Raises:
        IntegrityError: there are checkpoints, and every one is damaged.
    """
    found = find_checkpoint(out)
    return found[1] if found else None


def find_checkpoint(out: Output) -> tuple[Artifact, Checkpoint] | None:
    """The newest checkpoint whose every byte is as it was written; damaged ones are passed over with a message.

    What was passed over is noted in `out`, and the next checkpoint that is saved to it takes their place.

    Raises:
        IntegrityError: there are checkpoints, and every one is damaged.
    """
    problem: IntegrityError | None = None
    for entry in _all_entries(out.store.read_ref(_ref_name(out))):
        try:
            artifact = open_artifact(out.store, out.stage, entry["id"])
            if artifact is None:
                raise IntegrityError(f"{out.store.url}: the manifest of checkpoint {entry['id'][:12]} is missing.")
            checkpoint = read_checkpoint(out, artifact)
        except IntegrityError as error:
            print(f"{out.stage}: the checkpoint of step {entry['step']} is passed over: {error}", file=sys.stderr)
            out.passed_over.add(entry["id"])
            problem = error
        else:
            return artifact, checkpoint
    if problem:
        raise IntegrityError(
            f"{out.stage}: no checkpoint of {out.id[:12]} is sound, the last one tried: {problem} Bring the files of "
            f"the store back, or delete refs/{_ref_name(out)} in {out.store.url} to begin anew."
        )
    return None


def read_checkpoint(out: Output, artifact: Artifact) -> Checkpoint:
    """The state in a checkpoint, checked; IntegrityError when it is damaged or another recipe's."""
    names = [blob.path.removesuffix(".safetensors") for blob in artifact.manifest.data if blob.path != "notes.json"]
    tensors: dict[str, dict[str, Tensor]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = pool.map(lambda name: bytes_tensors(artifact.read(f"{name}.safetensors"), name), names)
        for name, found in zip(names, read, strict=True):
            tensors.setdefault(name.partition(_CUT)[0], {}).update(found)
    notes = json.loads(artifact.read("notes.json"))
    if notes["recipe_sha256"] != _recipe_digest(out):
        raise IntegrityError(f"checkpoint {artifact.id[:12]} is of another recipe than {out.id[:12]}.")
    manifest = artifact.manifest
    return Checkpoint(manifest.counts["step"], tensors, notes["notes"], manifest.summary.get("mean_loss"))


def _files(tensors: dict[str, dict[str, Tensor]]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each set under its name, a large one in several files `<set>=<number>`; one tensor is never cut."""
    for name, members in tensors.items():
        files: list[dict[str, Tensor]] = [{}]
        size_bytes = 0
        for member, tensor in members.items():
            if size_bytes and size_bytes + tensor.nbytes > _FILE_BYTES:
                files.append({})
                size_bytes = 0
            files[-1][member] = tensor
            size_bytes += tensor.nbytes
        for number, file in enumerate(files):
            yield (f"{name}{_CUT}{number}" if number else name), file


def _wait_for_shards(target: Output, place: Place) -> None:
    """Until the parts of all processes are there: they meet in the store alone, so a thread may wait as well."""
    deadline = time.monotonic() + place.patience_s
    waiting = list(range(1, place.size))
    while waiting:
        waiting = [rank for rank in waiting if target.load_part(_part(rank)) is None]
        if waiting and time.monotonic() > deadline:
            raise PeerError(
                f"{target.stage}: no shard of rank {', '.join(map(str, waiting))} came within {place.patience_s:.0f} "
                "s; the checkpoint was not committed, the one before stands. Run the same command again."
            )
        if waiting:
            time.sleep(_POLL_S)


def _entry(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    return {"id": manifest.id, "step": manifest.counts["step"], "mean_loss": manifest.summary.get("mean_loss")}


def _move_ref(out: Output, entry: dict[str, Any], keep: Keep) -> None:
    """Put a checkpoint in front of the list, let the oldest fall off its end, and remove what fell off.

    What is to go stands in the ref until it is gone, so that a killed removal is done by the next one. Those that this
    run passed over go too: the run is behind them, and nothing that it writes would count before it has caught up.
    """
    for _ in range(_ATTEMPTS):
        ref = out.store.read_ref(_ref_name(out))
        known = _all_entries(ref)
        sound = [one for one in known if one["id"] not in out.passed_over]
        entries = [one for one in _entries(ref) if one in sound]
        if entries and entries[0]["step"] >= entry["step"]:
            return
        staying = [entry, *entries[: keep.last - 1]]
        best = _lowest([entry, *sound]) if keep.best else None
        ids = {one["id"] for one in staying} | ({best["id"]} if best else set())
        leaving = list(dict.fromkeys(_leaving(ref) + [one["id"] for one in known if one["id"] not in ids]))
        content = json.dumps({**staying[0], "older": staying[1:], "best": best, "leaving": leaving}).encode()
        if out.store.move_ref(_ref_name(out), content, ref):
            _remove(out, leaving)
            return
    raise StoreError(f"{out.store.url}: the ref {_ref_name(out)} keeps moving. Is the same run started many times?")


def _lowest(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The one with the lowest mean loss; the newest, which stands first, where they are equal."""
    # Refs of earlier versions have none.
    compared = [entry for entry in entries if entry.get("mean_loss") is not None]
    return min(compared, key=lambda entry: float(entry["mean_loss"]), default=None)


def _remove(out: Output, leaving: list[str]) -> None:
    """Delete checkpoints that nobody can be sent to any more; the manifest last, which knows the rest."""
    for id in leaving:
        try:
            artifact = open_artifact(out.store, out.stage, id)
        except IntegrityError:
            # Damaged: what belongs to it cannot be known.
            continue
        if artifact is None:
            continue
        for blob in artifact.manifest.data:
            out.store.delete(blob.key)
        for key in list(out.store.list(records_folder(artifact.manifest))):
            out.store.delete(key)
        out.store.delete(artifact.manifest.key)
    ref = out.store.read_ref(_ref_name(out))
    if leaving and ref is not None:
        # Lost when somebody else moves the ref meanwhile: then they find the same list and nothing left to delete.
        content = json.loads(ref.content)
        content["leaving"] = [id for id in content["leaving"] if id not in leaving]
        out.store.move_ref(_ref_name(out), json.dumps(content).encode(), ref)


def _entries(ref: Ref | None) -> Iterator[dict[str, Any]]:
    """The last checkpoints in a ref, newest first."""
    if ref is not None:
        content = json.loads(ref.content)
        yield {name: content.get(name) for name in ("id", "step", "mean_loss")}
        yield from content["older"]


def _all_entries(ref: Ref | None) -> list[dict[str, Any]]:
    """The last checkpoints, newest first, and the best where it is none of them."""
    entries, best = list(_entries(ref)), _best(ref)
    return entries + ([best] if best and best["id"] not in {entry["id"] for entry in entries} else [])


def _best(ref: Ref | None) -> dict[str, Any] | None:
    # Not there in refs of earlier versions.
    best: dict[str, Any] | None = json.loads(ref.content).get("best") if ref else None
    return best


def _leaving(ref: Ref | None) -> list[str]:
    leaving: list[str] = json.loads(ref.content)["leaving"] if ref else []
    return leaving


def _recipe_digest(out: Output) -> str:
    return sha256_hex(json.dumps(out.recipe, sort_keys=True).encode())


def _part(rank: int) -> str:
    return f"rank-{rank:05d}"


def _ref_name(out: Output) -> str:
    return f"runs/{out.id}/checkpoint"
