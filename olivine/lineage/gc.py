"""Garbage: which artifacts and objects nothing needs any more. `olivine.lineage.delete` removes them.

An artifact is kept when it is young, when a model that was ever promoted was made with it, or when one that is kept was
made from it. So nothing that is kept ever loses what it was made from. A checkpoint is kept while its training is
unfinished and it, or another one of that training, is young: the best may be a long way behind the last. Data objects
go with the last artifact that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from olivine.artifacts import Manifest
from olivine.artifacts.parts import read_part
from olivine.artifacts.provenance import PASSING_KINDS, segment
from olivine.artifacts.withdrawn import withdrawals
from olivine.errors import UsageError
from olivine.lineage.source import Place, StoreSource, newest_run
from olivine.lineage.trace import union_of_ancestors
from olivine.lineage.withdrawal import affected
from olivine.registry.promotion import read_history, read_promoted
from olivine.store import Store

_ID = re.compile(rb"[0-9a-f]{64}")
UNNEEDED = "nothing that is kept was made with it"
LEFT_OVER = "its training is finished"


@dataclass(frozen=True)
class Doomed:
    """An artifact that may go, why, and when it was finished (ISO 8601)."""

    manifest: Manifest
    reason: str
    finished: str | None


@dataclass(frozen=True)
class Garbage:
    """What may go, and what stays although it should not."""

    artifacts: tuple[Doomed, ...]
    objects: dict[str, int] = field(default_factory=dict)
    """Keys and sizes [bytes] of data objects that would be nobody's."""

    others: tuple[str, ...] = ()
    """Keys that go with them: left-over parts, refs to checkpoints, raw files of withdrawn drives."""

    held: tuple[str, ...] = ()
    """Sentences about withdrawn data that is still in use."""

    kept: int = 0
    """Artifacts that stay."""

    @property
    def size_bytes(self) -> int:
        """What the data objects take."""
        return sum(self.objects.values())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        artifacts = [
            {"stage": item.manifest.stage, "kind": item.manifest.kind, "id": item.manifest.id, "reason": item.reason,
             "finished": item.finished} for item in self.artifacts
        ]  # fmt: skip
        return {
            "artifacts": artifacts, "objects": len(self.objects), "size_bytes": self.size_bytes,
            "others": len(self.others), "held": list(self.held), "kept": self.kept,
        }  # fmt: skip


def find_garbage(store: Store, days: int, *, withdrawn: bool = False, now: datetime | None = None) -> Garbage:
    """What nothing needs any more; nothing is changed.

    Args:
        store: where to look.
        days: age in days up to which everything is kept.
        withdrawn: also what was made from withdrawn drives, whatever its age, but for the model that is promoted.
        now: the time, with its zone.

    Raises:
        UsageError: `days` is negative. IntegrityError: a manifest or record cannot be read; then nothing is known.
    """
    if days < 0:
        raise UsageError(f"--days is {days}, but must be 0 or more.")
    born_before = (now or datetime.now(UTC)) - timedelta(days=days)
    source = StoreSource(store)
    manifests = {place: manifest for place in source.places() if (manifest := source.manifest(place))}
    finished = {place: _finished(store, manifest) for place, manifest in manifests.items()}
    banned, held = _withdrawn(store) if withdrawn else ({}, [])
    banned |= _checkpoints_of(banned, manifests)
    young = {place for place, at in finished.items() if at is None or datetime.fromisoformat(at) >= born_before}
    roots = {place for place in young if not _is_left_over(manifests[place], manifests)} | _promoted(store)
    live = _with_ancestors(source, (place for place in roots & manifests.keys() if place not in banned))
    beside = _checkpoints_beside(store, live, manifests.keys() - banned.keys())
    live |= _with_ancestors(source, beside)
    gone = [place for place in manifests if place not in live]
    artifacts = [
        Doomed(manifests[place], banned.get(place) or _reason(manifests[place], manifests), finished[place])
        for place in gone
    ]
    parts, part_blobs = _old_parts(store, born_before)
    used = {blob.key for place in live for blob in manifests[place].data} | part_blobs
    objects = _nobodys(store, [item.manifest for item in artifacts], used, born_before)
    others = [*parts, *_checkpoint_refs(store, live), *(_raw_files(store) if withdrawn else [])]
    return Garbage(tuple(artifacts), objects, tuple(others), tuple(held), len(live))


def _finished(store: Store, manifest: Manifest) -> str | None:
    run = newest_run(store, manifest)
    return None if run is None else str(run["ended"])


def _is_left_over(manifest: Manifest, manifests: dict[Place, Manifest]) -> bool:
    """Whether this is a checkpoint of something that is finished."""
    owner = manifest.recipe.get("checkpoint_of") if manifest.kind == "checkpoint" else None
    return owner is not None and Place(manifest.stage, str(owner)) in manifests


def _reason(manifest: Manifest, manifests: dict[Place, Manifest]) -> str:
    return LEFT_OVER if _is_left_over(manifest, manifests) else UNNEEDED


def _promoted(store: Store) -> set[Place]:
    """The model that is promoted, those that were, and their metrics: a rollback may bring each of them back."""
    history = list(read_history(store))
    refs = [item.segmenter for item in history] + [item.metrics for item in history if item.metrics]
    return {Place(ref.stage, ref.id) for ref in refs}


def _with_ancestors(source: StoreSource, places: Iterable[Place]) -> set[Place]:
    return {Place(item.stage, item.id) for item in union_of_ancestors(source, places)}


def _withdrawn(store: Store) -> tuple[dict[Place, str], list[str]]:
    """What withdrawn drives have reached, with the reason, but for what the promoted model needs."""
    banned: dict[Place, str] = {}
    for drive, records in withdrawals(store).items():
        for manifest in affected(store, drive):
            banned.setdefault(
                Place(manifest.stage, manifest.id), f"the drive {drive} was withdrawn: {records[-1].reason}"
            )
    promotion = read_promoted(store)
    if promotion is None:
        return banned, []
    place = Place(promotion.segmenter.stage, promotion.segmenter.id)
    if place not in banned:
        return banned, []
    needed = _with_ancestors(StoreSource(store), [place])
    if promotion.metrics:
        needed.add(Place(promotion.metrics.stage, promotion.metrics.id))
    sentence = f"segmenter {place.id[:12]} is promoted, but {banned[place]}. Promote another, then collect again."
    return {other: reason for other, reason in banned.items() if other not in needed}, [sentence]


def _checkpoints_of(banned: dict[Place, str], manifests: dict[Place, Manifest]) -> dict[Place, str]:
    """Checkpoints made from what is banned, with its reason: no statement of the lineage tells of them."""
    return {
        place: banned[source]
        for place, manifest in manifests.items()
        if manifest.kind in PASSING_KINDS
        for ref in manifest.inputs.values()
        if (source := Place(ref.stage, ref.id)) in banned
    }


def _old_parts(store: Store, born_before: datetime) -> tuple[list[str], set[str]]:
    """Left-over parts by key, and the data objects of those that somebody may still go on from."""
    old, used = [], set()
    for key in store.list("parts"):
        changed = store.modified(key)
        if changed is not None and changed < born_before:
            old.append(key)
        else:
            used |= {blob.key for blob in read_part(store, key)}
    return old, used


def _nobodys(store: Store, gone: list[Manifest], used: set[str], born_before: datetime) -> dict[str, int]:
    """Data objects of what goes, and those of nobody that are old; never one that is used."""
    found = {blob.key: blob.size_bytes for manifest in gone for blob in manifest.data if blob.key not in used}
    for key in store.list("blobs/sha256"):
        if key in used or key in found:
            continue
        changed = store.modified(key)
        if changed is not None and changed < born_before:
            found[key] = store.size(key) or 0
    return found


def _checkpoints_beside(store: Store, live: set[Place], places: Iterable[Place]) -> set[Place]:
    """The places that stand in a ref to checkpoints one of which is live: their training goes on and counts on them."""
    ids = {place.id.encode() for place in live}
    named = [found for _, found in _named_in_refs(store) if not ids.isdisjoint(found)]
    return {place for place in places if any(place.id.encode() in found for found in named)}


def _checkpoint_refs(store: Store, live: set[Place]) -> list[str]:
    """Refs to checkpoints none of which is left: their training would be refused instead of begun anew."""
    ids = {place.id.encode() for place in live}
    return [key for key, found in _named_in_refs(store) if ids.isdisjoint(found)]


def _named_in_refs(store: Store) -> Iterator[tuple[str, set[bytes]]]:
    """Keys of the refs to checkpoints, and the ids in each."""
    for key in store.list("refs/runs"):
        if ref := store.read_ref(key.removeprefix("refs/")):
            yield key, set(_ID.findall(ref.content))


def _raw_files(store: Store) -> list[str]:
    """Uploaded files of withdrawn drives. What tells of them, with their digests, stays.

    A drive whose name cannot stand in a key was never uploaded: it came with a folder of the raw data.
    """
    names = [drive for drive in withdrawals(store) if segment(drive) == drive]
    return [key for name in names for key in store.list(f"registry/files/{name}")]
