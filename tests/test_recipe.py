from __future__ import annotations

import pytest
from pydantic import ValidationError

from olivine.recipe import StageRecipe


class Sample(StageRecipe):
    """A recipe of one field."""

    rate: float = 0.5
    """Share [0..1]."""


def test_frozen_documented_and_strict():
    recipe = Sample()
    assert recipe.resolved() == {"rate": 0.5}
    assert Sample.model_fields["rate"].description == "Share [0..1]."
    with pytest.raises(ValidationError, match="frozen"):
        recipe.rate = 1.0
    for wrong in ({"rat": 1}, {"rate": float("nan")}, {"rate": float("inf")}, {"rate": "much"}):
        with pytest.raises(ValidationError):
            Sample.model_validate(wrong)
