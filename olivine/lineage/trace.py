"""Upstream and downstream: what an artifact was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from olivine.artifacts import Manifest
from olivine.artifacts.provenance import weights_of
from olivine.lineage.source import Place, Source, require_manifest
from olivine.stages import SENSOR_KINDS, WORDS

_COST_FIELDS = ("wall_s", "cpu_s", "gpu_s")


@dataclass(frozen=True)
class Step:
    """One artifact of a trace as an auditor needs it. Times are ISO 8601, costs of the run that finished it."""

    stage: str
    kind: str
    id: str
    data_digest: str
    inputs: dict[str, str]
    counts: dict[str, int]
    seed: int
    commit: str | None
    dirty: bool | None
    image: str | None
    licences: tuple[str, ...]
    finished: str | None
    host: str | None
    device: str | None
    cost: dict[str, float]


@dataclass(frozen=True)
class Trace:
    """Everything behind an artifact, itself last."""

    url: str
    steps: tuple[Step, ...]
    drives: tuple[str, ...]
    weights: tuple[str, ...]
    commits: tuple[str, ...]
    licences: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def trace(source: Source, place: Place) -> Trace:
    """What made an artifact: every artifact behind it, drives, foreign weights, commits and licences.

    Raises:
        IntegrityError: an input is missing.
    """
    manifests = ancestors(source, place)
    drives = [str(drive) for item in manifests if item.kind in SENSOR_KINDS for drive in item.summary.get("drives", [])]
    return Trace(
        url=source.url,
        steps=tuple(_step(source, manifest) for manifest in manifests),
        drives=tuple(dict.fromkeys(drives)),
        weights=tuple(dict.fromkeys(digest for manifest in manifests for digest in weights_of(manifest))),
        commits=tuple(dict.fromkeys(manifest.code.commit for manifest in manifests if manifest.code.commit)),
        licences=tuple(dict.fromkeys(licence for manifest in manifests for licence in manifest.licences)),
    )


def ancestors(source: Source, place: Place) -> list[Manifest]:
    """The artifact and all that it was made from, in the order of stages, itself last.

    The cache of image features is no input, but says by which teacher: it is here while it is there.
    """
    return union_of_ancestors(source, [place])


def union_of_ancestors(source: Source, places: Iterable[Place]) -> list[Manifest]:
    """As `ancestors`, of several artifacts at once: each is looked at once."""
    found: dict[Place, Manifest] = {}
    waiting = list(places)
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        manifest = found[current] = require_manifest(source, current)
        waiting += [Place(ref.stage, ref.id) for ref in manifest.inputs.values()]
        features = manifest.summary.get("image_features")
        if features and source.manifest(Place("pretrain", str(features))):
            waiting.append(Place("pretrain", str(features)))
    return _ordered(found)


def descendants(source: Source, starts: Iterable[Place]) -> list[Manifest]:
    """Everything made from any of `starts`, with these, in the order of stages."""
    found: dict[Place, Manifest] = {}
    waiting = list(starts)
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        manifest = source.manifest(current)
        # Collected since, or never published: an index may know more than there is.
        if manifest is not None:
            found[current] = manifest
            waiting += source.consumers(current.id)
    return _ordered(found)


def _ordered(found: dict[Place, Manifest]) -> list[Manifest]:
    """Stages in their order, caches and checkpoints of a stage before its product."""
    products = {"image_features": 0, "checkpoint": 0}
    return sorted(found.values(), key=lambda item: (WORDS.index(item.stage), products.get(item.kind, 1), item.id))


def _step(source: Source, manifest: Manifest) -> Step:
    run = source.run(manifest) or {}
    return Step(
        stage=manifest.stage,
        kind=manifest.kind,
        id=manifest.id,
        data_digest=manifest.data_digest,
        inputs={port: ref.id for port, ref in manifest.inputs.items()},
        counts=manifest.counts,
        seed=manifest.seed,
        commit=manifest.code.commit,
        dirty=manifest.code.dirty,
        image=manifest.image_digest,
        licences=manifest.licences,
        finished=run.get("ended"),
        host=run.get("host"),
        device=run.get("device"),
        cost={name: float(run[name]) for name in _COST_FIELDS if isinstance(run.get(name), int | float)},
    )
