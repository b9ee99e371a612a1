"""Recipes: functions that return the whole frozen configuration of a pipeline, one for each named way to run it."""

from __future__ import annotations

from collections.abc import Callable

from olivine.errors import UsageError
from olivine.recipes.demo import demo, tiny_cpu
from olivine.recipes.olivine import olivine
from olivine.recipes.whole import Recipe, override

__all__ = ["RECIPES", "Recipe", "load_recipe", "override"]

RECIPES: dict[str, Callable[[], Recipe]] = {"olivine": olivine, "demo": demo, "tiny_cpu": tiny_cpu}


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """The recipe `name` with `stage.field=value` overrides.

    Raises:
        UsageError: no such recipe, no such field, or a value that the field does not take.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}: choose one of {', '.join(RECIPES)}.")
    return override(RECIPES[name](), overrides or [])
