"""What differs between arms, as a table shows it: one line for each fact, one value for each arm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GROUPS = {
    "artifacts": "Artifacts",
    "data": "Data",
    "recipe": "Recipe",
    "code": "Code",
    "environment": "Environment",
    "cost": "Cost",
}
"""What facts are about, in the order of the page, with its heading."""

_LONGEST = 90
_MOST_NAMES = 6


@dataclass(frozen=True)
class Difference:
    """A fact of the artifacts in `roles`, with what each arm has of it."""

    name: str
    roles: tuple[str, ...]
    values: tuple[Sequence[Any], ...]
    """For each arm the distinct values over its runs; none where the arm has no such artifact."""

    @property
    def cells(self) -> list[str]:
        """The values as text. Of lists of names the length is shown, and the names that not every arm has."""
        lists = [{name for value in values for name in value} for values in self.values if _are_names(values)]
        common: set[str] = set.intersection(*lists) if lists else set()
        return [", ".join(_show(value, common) for value in values) or "none" for values in self.values]

    def as_json(self, arms: Sequence[str]) -> dict[str, Any]:
        """Plain JSON values; `values` by arm, a list of the distinct ones."""
        by_arm = {arm: list(values) for arm, values in zip(arms, self.values, strict=True)}
        return {"name": self.name, "of": list(self.roles), "values": by_arm}


def _are_names(values: Sequence[Any]) -> bool:
    return bool(values) and all(
        isinstance(value, list) and value and all(isinstance(name, str) for name in value) for value in values
    )


def _show(value: Any, common: set[str]) -> str:
    if value is None:
        return "-"
    if _are_names([value]):
        own = [name for name in value if name not in common]
        more = f" and {len(own) - _MOST_NAMES} more" if len(own) > _MOST_NAMES else ""
        return str(len(value)) + (f", not in all: {', '.join(own[:_MOST_NAMES])}{more}" if own else "")
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
