"""What every stage's recipe is: a frozen, validated, documented set of fields."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class StageRecipe(BaseModel):
    """Base of the recipes of the stages. Every field has a docstring with its unit and source."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def resolved(self) -> dict[str, Any]:
        """The whole recipe as plain JSON values, defaults included: what a manifest keeps."""
        return self.model_dump(mode="json")
