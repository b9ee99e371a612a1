"""In what arms differ: the facts of every artifact behind them, role by role."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from olivine.artifacts import Manifest
from olivine.lineage.arms import Arm
from olivine.lineage.diff import by_role, flatten
from olivine.lineage.source import Source
from olivine.lineage.trace import ancestors
from olivine.report.differences import GROUPS, Difference
from olivine.stages import WORDS

_COSTS = ("wall_s", "cpu_s", "peak_rss_mb", "training_gpu_h", "peak_gpu_mb", "samples_per_s")
_HOST = ("device", "cores")
_WHOLE = ("data", "cost")
"""Groups whose facts are of one artifact alone: told of what one arm has and another has not, and never merged."""

_DIGEST = 12
"""Characters of a digest that are shown, and compared."""

_Facts = dict[str, dict[str, Any]]
"""Facts of a manifest by group and name."""


def find_differences(source: Source, arms: Sequence[Arm], everything: bool) -> dict[str, list[Difference]]:
    """Facts by group in which arms differ; with `everything` those that are equal too. Groups without any are left out.

    Where an arm has no artifact of a role at all, data and cost of the others are told, but not their recipe and code.
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
            groups[group] += _differ(role, group, [[one[group] for one in of_arm] for of_arm in facts], everything)
    merged = {group: found if group in _WHOLE else _merge_roles(found) for group, found in groups.items()}
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


def _differ(role: str, group: str, facts: Sequence[Sequence[Mapping[str, Any]]], everything: bool) -> list[Difference]:
    """Differences of one role and group."""
    names = dict.fromkeys(name for of_arm in facts for one in of_arm for name in one)
    found = []
    for name in names:
        values = tuple(_distinct(one.get(name) for one in of_arm) for of_arm in facts)
        compared = values if group in _WHOLE else [one for one in values if one]
        if everything or not _equal(compared):
            found.append(Difference(name, (role,), values))
    return found


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in an order that does not depend on that of the runs."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return sorted(found, key=lambda value: (0, value) if isinstance(value, int | float) else (1, json.dumps(value)))


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
        "environment": {
            "image": manifest.image_digest,
            **_chosen(run, _HOST),
            **flatten(manifest.libraries, "package"),
        },
        "cost": _chosen(run, _COSTS),
    }


def _chosen(run: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: run[name] for name in names if name in run}


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
