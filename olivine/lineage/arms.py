"""Arms of a comparison: artifacts of one kind under one name, as a user names them, and the metrics made from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from olivine.artifacts import Manifest
from olivine.errors import UsageError
from olivine.lineage.impact import MODELS
from olivine.lineage.source import Place, Source, find_place, require_manifest
from olivine.stages import WORDS


@dataclass(frozen=True)
class Arm:
    """Artifacts of one kind under one name: one, or one for each seed and label fraction."""

    name: str
    places: tuple[Place, ...]


def parse_arms(source: Source, runs: Sequence[str]) -> list[Arm]:
    """The arms that `ID` or `NAME=ID,ID,...` name; without a name an arm bears that of its method, or of its kind.

    Raises:
        UsageError: fewer than two, one that is given twice, names nothing or mixes kinds or methods.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs two runs or more: give ids of backbones, segmenters, metrics or others.")
    given = [run.rpartition("=")[::2] for run in runs]
    arms = [(name, _places(source, ids)) for name, ids in given]
    places = [place for _, of_arm in arms for place in of_arm]
    for place in places:
        if places.count(place) > 1:
            raise UsageError(f"{place.stage} {place.id[:12]} is given twice: each run is compared once.")
    methods = [name or _method(source, of_arm) for name, of_arm in arms]
    names = [
        name or (f"{method} {of_arm[0].id[:6]}" if methods.count(method) > 1 else method)
        for (name, of_arm), method in zip(arms, methods, strict=True)
    ]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two runs are named {name!r}: give each a name of its own, as in NAME=ID.")
    return [Arm(name, of_arm) for name, (_, of_arm) in zip(names, arms, strict=True)]


def _places(source: Source, ids: str) -> tuple[Place, ...]:
    places = tuple(find_place(source, id.strip()) for id in ids.split(","))
    manifests = [require_manifest(source, place) for place in places]
    different = {"kinds": [item.kind for item in manifests], "methods": [_method_of(item) for item in manifests]}
    for what, values in different.items():
        if len(set(values)) > 1:
            raise UsageError(f"{ids}: a run is of one arm, but these are of several {what} ({', '.join(values)}).")
    return places


def _method(source: Source, places: Sequence[Place]) -> str:
    return _method_of(require_manifest(source, places[0]))


def _method_of(manifest: Manifest) -> str:
    return str(manifest.summary.get("method") or manifest.summary.get("init") or manifest.kind)


def metrics_of(source: Source, places: Iterable[Place]) -> list[Place]:
    """Metrics among what was made from models; data and labels have too many to say which are meant."""
    found: list[Place] = []
    for place in places:
        manifest = source.manifest(place)
        # An index may know more than there is: what was collected since.
        if manifest is None:
            continue
        if manifest.kind == "metrics":
            found.append(place)
        elif manifest.kind in MODELS:
            after = WORDS.index(place.stage)
            found += metrics_of(
                source, (item for item in source.consumers(place.id) if WORDS.index(item.stage) > after)
            )
    return found
