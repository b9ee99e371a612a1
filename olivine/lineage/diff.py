"""Two artifacts side by side: what differs in data, recipe, code, environment and result."""

from __future__ import annotations

from typing import Any

from olivine.artifacts import Manifest
from olivine.lineage.source import Place, Source
from olivine.lineage.trace import ancestors

Pair = list[Any]
"""The value of the one and of the other; None where there is none."""


def diff(source: Source, one: Place, other: Place) -> dict[str, dict[str, Pair]]:
    """Differences by group (`data`, `recipe`, `code`, `environment`, `result`) and name, nothing where all is equal.

    Artifacts behind the two are compared kind by kind; the names of groups begin with the kind.

    Raises:
        IntegrityError: an input is missing.
    """
    left, right = (_by_kind(ancestors(source, place)) for place in (one, other))
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


def _by_kind(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {manifest.kind: manifest for manifest in manifests}


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "data": {"data_digest": manifest.data_digest, "counts": manifest.counts, **_drives(manifest)},
        "recipe": manifest.recipe | {"seed": manifest.seed},
        "code": {"version": manifest.code.version, "commit": manifest.code.commit, "sources": manifest.code.digest},
        "environment": {"image": manifest.image_digest, "libraries": manifest.libraries},
        "result": _result(manifest),
    }


def _drives(manifest: Manifest) -> dict[str, Any]:
    return {"drives": manifest.summary.get("drives")} if manifest.kind == "drives" else {}


def _result(manifest: Manifest) -> dict[str, Any]:
    """Numbers of the summary: losses, scores, accuracies."""
    return {name: value for name, value in flatten(manifest.summary).items() if isinstance(value, int | float)}
