"""Impact: what a drive, a frame, weak labels, weights or a commit have reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from olivine.artifacts import Manifest
from olivine.errors import UsageError
from olivine.lineage.source import SHORTEST_NAME, Place, Source, find_place
from olivine.lineage.trace import descendants
from olivine.registry.promotion import read_promoted
from olivine.store import Store

MODELS = ("backbone", "segmenter", "detector")


@dataclass(frozen=True)
class Impact:
    """What was asked for, how it was understood, and all that was made from it."""

    asked: str
    sort: str
    reached: tuple[Manifest, ...]

    @property
    def models(self) -> list[Manifest]:
        """Backbones, segmenters and detectors among what was reached."""
        return [manifest for manifest in self.reached if manifest.kind in MODELS]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        reached = [{"stage": item.stage, "kind": item.kind, "id": item.id} for item in self.reached]
        return {"asked": self.asked, "sort": self.sort, "reached": reached, "models": [item.id for item in self.models]}


def impact(source: Source, asked: str) -> Impact:
    """Everything downstream of what `asked` names: a drive, a commit, the SHA-256 of weights, a keyframe, an artifact.

    `sort:name` (as `drive:n008`) says which it is; without, the first of these that has the name is taken.

    Raises:
        UsageError: nothing in the store has that name.
    """
    sort, colon, name = asked.partition(":")
    if colon and sort in _FINDERS:
        found = _FINDERS[sort](source, name)
        if found:
            return Impact(name, sort, tuple(descendants(source, found)))
        raise UsageError(f"{source.url} holds nothing made from the {sort} {name!r}.")
    for tried, find in _FINDERS.items():
        found = find(source, asked)
        if found:
            return Impact(asked, tried, tuple(descendants(source, found)))
    raise UsageError(
        f"{asked!r} is no drive, commit, weights (SHA-256), keyframe or artifact behind anything in {source.url}. "
        "`olivine lineage search` lists artifacts."
    )


def promoted_among(store: Store, found: Impact) -> str | None:
    """Id of the segmenter that is promoted now, where it is among what was reached."""
    promotion = read_promoted(store)
    reached = {manifest.id for manifest in found.reached}
    return promotion.segmenter.id if promotion and promotion.segmenter.id in reached else None


def _artifacts(source: Source, name: str) -> list[Place]:
    if len(name) < SHORTEST_NAME:
        return []
    try:
        return [find_place(source, name)]
    except UsageError as error:
        if "matches several" in str(error):
            raise
        return []


_FINDERS: dict[str, Callable[[Source, str], list[Place]]] = {
    "drive": lambda source, name: source.holders("drive", name),
    "commit": lambda source, name: source.holders("commit", name),
    "weights": lambda source, name: source.holders("weights", name),
    "artifact": _artifacts,
    "frame": lambda source, name: [place for place, _ in source.frame_places(name)],
}
