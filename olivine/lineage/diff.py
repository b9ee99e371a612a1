"""Two artifacts side by side, field by field: data, recipe, code, environment and result.

`olivine.lineage.compare` tells the same of any number of runs, for people.
"""

from __future__ import annotations

from typing import Any

from olivine.artifacts import Manifest
from olivine.lineage.source import Place, Source
from olivine.lineage.trace import ancestors
from olivine.stages import SENSOR_KINDS

Pair = list[Any]
"""The value of the one and of the other; None where there is none."""


def diff(source: Source, one: Place, other: Place) -> dict[str, dict[str, Pair]]:
    """Differences by group (`data`, `recipe`, `code`, `environment`, `result`) and name, nothing where all is equal.

    Artifacts behind the two are compared role by role (see `by_role`); the names in a group begin with the role.

    Raises:
        IntegrityError: an input is missing.
    """
    left, right = (by_role(ancestors(source, place)) for place in (one, other))
    groups: dict[str, dict[str, Pair]] = {name: {} for name in ("data", "recipe", "code", "environment", "result")}
    for kind in dict.fromkeys([*left, *right]):
        facts = [_facts(manifests[kind]) if kind in manifests else {} for manifests in (left, right)]
        for group, found in groups.items():
            values = [flatten(side.get(group, {})) for side in facts]
            for name in dict.fromkeys([*values[0], *values[1]]):
                pair = [side.get(name) for side in values]
                if pair[0] != pair[1]:
                    found[f"{kind}.{name}"] = pair
    return {group: found for group, found in groups.items() if found}


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Fields of nested dictionaries by dotted path; lists stay whole."""
    if not isinstance(value, dict):
        return {path: value}
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat |= flatten(item, f"{path}.{name}" if path else str(name))
    return flat


def by_role(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The manifests of `ancestors` by what they are to the last one, in the order of stages.

    A role is the kind. Of two of a kind, the nearer one has it; the farther one is that of what it went into, as in
    `drives of backbone`.
    """
    known, last = {manifest.id: manifest for manifest in manifests}, manifests[-1]
    roles, waiting = {last.id: last.kind}, [last]
    for consumer in waiting:
        for ref in (consumer.inputs[port] for port in sorted(consumer.inputs)):
            if ref.id not in roles:
                taken = ref.kind in roles.values()
                roles[ref.id] = f"{ref.kind} of {roles[consumer.id]}" if taken else ref.kind
                waiting.append(known[ref.id])
    return {roles.get(manifest.id, manifest.kind): manifest for manifest in manifests}


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "data": {"data_digest": manifest.data_digest, "counts": manifest.counts, **_drives(manifest)},
        "recipe": manifest.recipe | {"seed": manifest.seed},
        "code": {"version": manifest.code.version, "commit": manifest.code.commit, "sources": manifest.code.digest},
        "environment": {"image": manifest.image_digest, "libraries": manifest.libraries},
        "result": _result(manifest),
    }


def _drives(manifest: Manifest) -> dict[str, Any]:
    return {"drives": manifest.summary.get("drives")} if manifest.kind in SENSOR_KINDS else {}


def _result(manifest: Manifest) -> dict[str, Any]:
    """Numbers of the summary: losses, scores, accuracies."""
    return {name: value for name, value in flatten(manifest.summary).items() if isinstance(value, int | float)}
