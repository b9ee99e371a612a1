"""Where lineage is read from: the store itself, request by request, or a mirror of it (`olivine.lineage.mirror`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from olivine.artifacts import Manifest, open_artifact
from olivine.artifacts.deleted import DELETED, told_of_deletion
from olivine.artifacts.provenance import BY_MATERIAL, fact_folder
from olivine.artifacts.record import records_folder
from olivine.errors import IntegrityError, UsageError
from olivine.lineage.frames import drive_of, frame_table
from olivine.stages import WORDS
from olivine.store import Store

SHORTEST_NAME = 6
_MOST_SHOWN = 8


class Place(NamedTuple):
    """An artifact by stage and id."""

    stage: str
    id: str


class Source(Protocol):
    """What the questions of `olivine lineage` need to know. Both sources give the same answers."""

    @property
    def url(self) -> str:
        """The store that is spoken of."""

    def manifest(self, place: Place) -> Manifest | None:
        """The manifest of an artifact; None when there is no such artifact."""

    def places(self) -> Iterator[Place]:
        """Every artifact."""

    def consumers(self, id: str) -> list[Place]:
        """What was made from the artifact `id`, in the order of stages."""

    def holders(self, sort: str, value: str) -> list[Place]:
        """What was made from a `drive`, with `weights` (SHA-256) or by a `commit`."""

    def frame_places(self, keyframe: str) -> list[tuple[Place, str]]:
        """The drives artifacts that hold a keyframe, each with the drive that it is of."""

    def run(self, manifest: Manifest) -> dict[str, Any] | None:
        """The record of the newest run that made an artifact; None when there is none."""


class StoreSource:
    """The store itself: as many requests as there are artifacts to look at, none for those that are not asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[Place, Manifest] = {}

    @property
    def url(self) -> str:
        """The store's."""
        return self.store.url

    def manifest(self, place: Place) -> Manifest | None:
        """See `Source`."""
        if place not in self._known:
            artifact = open_artifact(self.store, *place)
            if artifact is None:
                return None
            self._known[place] = artifact.manifest
        return self._known[place]

    def places(self) -> Iterator[Place]:
        """See `Source`."""
        for stage in WORDS:
            yield from sorted({Place(stage, key.split("/")[1]) for key in self.store.list(stage)})

    def consumers(self, id: str) -> list[Place]:
        """See `Source`."""
        return _places(self.store, f"{BY_MATERIAL}/{id}")

    def holders(self, sort: str, value: str) -> list[Place]:
        """See `Source`."""
        return _places(self.store, fact_folder(sort, value))

    def frame_places(self, keyframe: str) -> list[tuple[Place, str]]:
        """See `Source`. Reads the index of every drives artifact."""
        found = []
        for place in self.places():
            manifest = self.manifest(place) if place.stage == "ingest" else None
            drive = drive_of(frame_table(self.store, manifest), keyframe) if manifest else None
            if drive is not None:
                found.append((place, drive))
        return found

    def run(self, manifest: Manifest) -> dict[str, Any] | None:
        """See `Source`."""
        return newest_run(self.store, manifest)


def newest_run(store: Store, manifest: Manifest) -> dict[str, Any] | None:
    """The record of the newest run that made an artifact.

    Raises:
        IntegrityError: a record cannot be read.
    """
    records = []
    for key in store.list(records_folder(manifest)):
        try:
            record: dict[str, Any] = json.loads(store.read(key))
            records.append((str(record["started"]), record))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise IntegrityError(f"{store.url}/{key}: not the record of a run ({error}). Restore it.") from error
    return max(records, key=lambda item: item[0])[1] if records else None


def find_place(source: Source, name: str) -> Place:
    """The one artifact, of any stage, whose id starts with `name` (at least 6 characters).

    Raises:
        UsageError: none or several match.
    """
    if len(name) < SHORTEST_NAME:
        raise UsageError(f"{name!r} names no artifact: give its id or the first {SHORTEST_NAME} or more characters.")
    if len(name) == 64:
        matches = [place for stage in WORDS if source.manifest(place := Place(stage, name))]
    else:
        matches = [place for place in source.places() if place.id.startswith(name)]
    if not matches and isinstance(source, StoreSource) and (told := told_of_deletion(source.store, name)):
        raise UsageError(f"{told}. Its records are kept under {DELETED}.")
    if not matches and not any(True for _ in source.places()):
        raise UsageError(f"{source.url} holds no artifact: is --store right?")
    if len(matches) != 1:
        shown = ", ".join(f"{place.stage} {place.id[:12]}" for place in matches[:_MOST_SHOWN])
        raise UsageError(
            f"{name!r} {'matches several artifacts' if matches else 'is no artifact'} in {source.url}"
            f"{': ' + shown if shown else '; `olivine lineage search` lists what there is'}."
        )
    return matches[0]


def require_manifest(source: Source, place: Place) -> Manifest:
    """The manifest of an artifact that must be there; IntegrityError when it is not."""
    manifest = source.manifest(place)
    if manifest is None:
        raise IntegrityError(f"{source.url}/{place.stage}/{place.id}: is missing. Restore it from a copy.")
    return manifest


def _places(store: Store, folder: str) -> list[Place]:
    found = {Place(*key.split("/")[-2:]) for key in store.list(folder)}
    return sorted(found, key=lambda place: (WORDS.index(place.stage), place.id))
