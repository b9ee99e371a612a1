"""The paper's headline setting (V3, camera-ready): 50 epochs at batch 16, MinkUNet34, 1 % of the labels."""

from __future__ import annotations

from olivine.recipes.whole import Recipe


def olivine() -> Recipe:
    """Every stage at its default, which is the paper's value as its released configuration has it."""
    return Recipe(name="olivine")
