"""Recipes: functions that return the whole frozen configuration of a pipeline, one for each named way to run it.

A name is that of a method, at the scale of the paper, or `METHOD@SCALE`. `demo`, `miniature`, `tiny_cpu` and those of
SemanticKITTI alone are OLIVINE.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable

from olivine.errors import UsageError
from olivine.recipes.demo import demo, tiny_cpu
from olivine.recipes.methods import METHODS
from olivine.recipes.miniature import miniature
from olivine.recipes.paper import PROTOCOLS
from olivine.recipes.semantickitti import FRACTIONS
from olivine.recipes.whole import Recipe, override

__all__ = ["METHODS", "RECIPES", "SCALES", "Recipe", "describe_recipes", "load_recipe", "override"]

SCALES: dict[str, Callable[[], Recipe]] = (
    PROTOCOLS | FRACTIONS | {"demo": demo, "miniature": miniature, "tiny_cpu": tiny_cpu}
)
"""What a method is run at, by name: the protocols of the paper, on nuScenes and SemanticKITTI, and smaller ones."""

RECIPES = (*METHODS, *(scale for scale in SCALES if scale != "paper"))
"""Names without a scale; every method may also be followed by `@` and a scale."""


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """The recipe `name` with `stage.field=value` overrides.

    Raises:
        UsageError: no such recipe, no such field, or a value that the field does not take.
    """
    method, at, scale = name.partition("@")
    if not at:
        method, scale = ("olivine", method) if method in SCALES and method != "paper" else (method, "paper")
    if method not in METHODS or scale not in SCALES:
        names = [*RECIPES, *(f"{one}@{size}" for one in METHODS for size in SCALES)]
        near = difflib.get_close_matches(name, names, 1)
        raise UsageError(
            f"there is no recipe {name!r}: {f'did you mean {near[0]!r}? Else ' if near else ''}choose one of "
            f"{', '.join(METHODS)}, or METHOD@SCALE with a scale of {', '.join(SCALES)}; a scale alone is that of "
            "olivine. `olivine recipes` says what each is."
        )
    recipe = METHODS[method](SCALES[scale]()).model_copy(update={"name": name})
    return override(recipe, overrides or [])


def describe_recipes() -> dict[str, str]:
    """One line for each method and for each scale, as their functions say it."""
    lines = {name: _first_line(method) for name, method in METHODS.items()}
    return lines | {f"METHOD@{name}": _first_line(scale) for name, scale in SCALES.items()}


def _first_line(function: Callable[..., Recipe]) -> str:
    return (inspect.getdoc(function) or "").splitlines()[0]
