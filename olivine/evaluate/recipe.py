"""Recipe of the stage `evaluate`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from olivine.recipe import StageRecipe


class EvaluateRecipe(StageRecipe):
    """What is scored."""

    split: Literal["test", "select"] = "test"
    """`test` is read once for each reported number; `select` is for choosing between models."""

    keyframes_per_shard: int = Field(64, ge=1, le=128)
    """Predictions in one tar shard."""
