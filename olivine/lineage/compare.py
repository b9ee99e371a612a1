"""Any number of runs side by side: what differs in data, recipe, code, environment and cost, and their results.

A run is an artifact of any stage, or several of one arm (its seeds, its label fractions): what stands behind it says
what it is, what was scored from it says what came out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from olivine.artifacts import Artifact, Manifest, find_artifact
from olivine.errors import UsageError
from olivine.lineage.diff import by_role, flatten
from olivine.lineage.impact import MODELS
from olivine.lineage.source import Place, Source, StoreSource, find_place, require_manifest
from olivine.lineage.trace import ancestors
from olivine.report.compare import Comparison, arms_by_backbone, compare_results
from olivine.report.differences import GROUPS, Difference
from olivine.stages import WORDS
from olivine.store import Store

_COSTS = ("wall_s", "cpu_s", "peak_rss_mb", "training_gpu_h", "peak_gpu_mb", "samples_per_s", "device", "cores")
_DIGEST = 12
"""Characters of a digest that are shown, and compared."""

_Facts = dict[str, dict[str, Any]]
"""Facts of a manifest by group and name."""


@dataclass(frozen=True)
class Arm:
    """Artifacts of one kind under one name: one, or one for each seed and label fraction."""

    name: str
    places: tuple[Place, ...]


def compare_runs(store: Store, runs: Sequence[str], everything: bool = False) -> Comparison:
    """Compare runs, each `ID` or `NAME=ID,ID,...`, with the first of them; ids may be cut to 6 or more characters.

    Results are those of the metrics that were made from a backbone or segmenter, or are given themselves. With
    `everything` facts that are equal are told too.

    Raises:
        UsageError: fewer than two runs, one that is given twice, names nothing or mixes kinds or methods; two results
            of one seed that cannot be told apart. IntegrityError: something behind a run is missing.
    """
    source = StoreSource(store)
    return _compare(store, source, _parse_arms(source, runs), everything)


def compare_with_baseline(store: Store, metrics: Sequence[str], baseline: Sequence[str]) -> Comparison:
    """Compare the metrics with these ids, of any arms, with those of one baseline arm: arms are told by their backbone.

    Raises:
        UsageError: what `arms_by_backbone` and `compare_results` refuse. IntegrityError: something is missing.
    """
    found, first = ([find_artifact(store, "evaluate", id) for id in ids] for ids in (metrics, baseline))
    arms = arms_by_backbone(store, found, first)
    named = [Arm(name, tuple(Place("evaluate", item.id) for item in items)) for name, items in arms.items()]
    return _compare(store, StoreSource(store), named, everything=False)


def _compare(store: Store, source: Source, arms: Sequence[Arm], everything: bool) -> Comparison:
    results = {arm.name: [_artifact(store, place) for place in _metrics_of(source, arm.places)] for arm in arms}
    return Comparison(
        {arm.name: [place.id for place in arm.places] for arm in arms},
        compare_results(store, results),
        find_differences(source, arms, everything),
    )


def _artifact(store: Store, place: Place) -> Artifact:
    return find_artifact(store, place.stage, place.id)


def _metrics_of(source: Source, places: Iterable[Place]) -> list[Place]:
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
            found += _metrics_of(
                source, (item for item in source.consumers(place.id) if WORDS.index(item.stage) > after)
            )
    return found


def _parse_arms(source: Source, runs: Sequence[str]) -> list[Arm]:
    if len(runs) < 2:
        raise UsageError("a comparison needs two runs or more: give ids of backbones, segmenters, metrics or others.")
    given = [run.rpartition("=")[::2] for run in runs]
    arms = [(name, _places(source, ids)) for name, ids in given]
    places = [place for _, of_arm in arms for place in of_arm]
    for place in places:
        if places.count(place) > 1:
            raise UsageError(f"{place.stage} {place.id[:_DIGEST]} is given twice: each run is compared once.")
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


def find_differences(source: Source, arms: Sequence[Arm], everything: bool) -> dict[str, list[Difference]]:
    """Facts by group in which arms differ; with `everything` those that are equal too. Groups without any are left out.

    Where an arm has no artifact of a role at all, that is one line, and its fields are those of the other arms.
    """
    behind = [[by_role(ancestors(source, place)) for place in arm.places] for arm in arms]
    names = _roles(behind)
    by_arm = [{role: _of_role(role, runs) for role in names} for runs in behind]
    groups: dict[str, list[Difference]] = {group: [] for group in GROUPS}
    for role in names:
        ids = tuple(_distinct(item.id[:_DIGEST] for item in arm[role]) for arm in by_arm)
        groups["artifacts"] += [Difference(role, (), ids)] if everything or not _equal(ids) else []
        facts = [[_facts(source, item) for item in arm[role]] for arm in by_arm]
        for group in [group for group in GROUPS if group != "artifacts"]:
            groups[group] += _differ(role, [[one[group] for one in of_arm] for of_arm in facts], everything)
    merged = {group: found if group in ("data", "cost") else _merge_roles(found) for group, found in groups.items()}
    return {group: found for group, found in merged.items() if found}


def _roles(behind: Sequence[Sequence[Mapping[str, Manifest]]]) -> list[str]:
    """Every role of any run, in the order of stages."""
    stages = {role: manifest.stage for runs in behind for run in runs for role, manifest in run.items()}
    return sorted(stages, key=lambda role: WORDS.index(stages[role]))


def _of_role(role: str, runs: Sequence[Mapping[str, Manifest]]) -> list[Manifest]:
    """The artifacts of an arm in a role, each once.

    Where all of an arm is made from one drives, it has no `drives of backbone`: they are its `drives`.
    """
    kind, _, consumer = role.partition(" of ")
    found = {}
    for run in runs:
        manifest = run.get(role)
        if manifest is None and consumer in run:
            ids = {ref.id for ref in run[consumer].inputs.values() if ref.kind == kind}
            manifest = next((item for item in run.values() if item.id in ids), None)
        if manifest is not None:
            found[manifest.id] = manifest
    return list(found.values())


def _differ(role: str, facts: Sequence[Sequence[Mapping[str, Any]]], everything: bool) -> list[Difference]:
    """Differences of one role and group, between the arms that have it."""
    names = dict.fromkeys(name for of_arm in facts for one in of_arm for name in one)
    found = []
    for name in names:
        values = tuple(_distinct(one.get(name) for one in of_arm) for of_arm in facts)
        if everything or not _equal([one for one in values if one]):
            found.append(Difference(name, (role,), values))
    return found


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in an order that does not depend on that of the runs."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return sorted(found, key=json.dumps)


def _equal(values: Sequence[Sequence[Any]]) -> bool:
    return all(value == values[0] for value in values)


def _merge_roles(differences: Iterable[Difference]) -> list[Difference]:
    """One line for what is told of several roles alike, as the commit of every stage."""
    merged: list[Difference] = []
    for item in differences:
        same = next((one for one in merged if (one.name, one.values) == (item.name, item.values)), None)
        if same is None:
            merged.append(item)
        else:
            merged[merged.index(same)] = Difference(item.name, same.roles + item.roles, item.values)
    return merged


def _facts(source: Source, manifest: Manifest) -> _Facts:
    code = manifest.code
    commit = f"{(code.commit or 'not recorded')[:_DIGEST]}{' (changed)' if code.dirty else ''}"
    run = source.run(manifest) or {}
    return {
        "data": _data(manifest),
        "recipe": flatten(manifest.recipe) | {"seed": manifest.seed},
        "code": {"version": code.version, "commit": commit, "sources": code.digest[:_DIGEST]},
        "environment": {"image": manifest.image_digest} | flatten(manifest.libraries, "package"),
        "cost": {name: run[name] for name in _COSTS if name in run},
    }


def _data(manifest: Manifest) -> dict[str, Any]:
    """Counts, and what says which data it is. Digests of what was trained follow from all the rest."""
    facts: dict[str, Any] = flatten(manifest.counts)
    summary = manifest.summary
    if manifest.kind == "drives":
        scenes = flatten(summary.get("scenes", {}), "scenes")
        return {"digest": manifest.data_digest[:_DIGEST], "drives": summary.get("drives"), **scenes, **facts}
    if manifest.kind == "weak_labels":
        told = {name: summary.get(name) for name in ("kind", "accuracy", "coverage")}
        return {"digest": manifest.data_digest[:_DIGEST], **told, **facts}
    if manifest.kind == "segmenter":
        return {"labelled keyframes": summary.get("keyframes"), **facts}
    return facts
