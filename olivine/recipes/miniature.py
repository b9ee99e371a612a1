"""The scale of the study `miniature`: the paper's comparisons on synthetic drives, within 90 minutes on two cores."""

from __future__ import annotations

from olivine.recipes.demo import demo
from olivine.recipes.whole import Recipe


def miniature() -> Recipe:
    """The demo's network and rates, 1 % of the labels by scene: one scene of a hundred."""
    whole = demo()
    assert whole.pretrain is not None
    pretrain = whole.pretrain.model_copy(update={"epochs": 5, "num_pairs": 1024, "checkpoint_every": 1000})
    finetune = whole.finetune.model_copy(
        update={"every_nth": 100, "batch_size": 2, "epochs": 200, "curve_points": 4, "checkpoint_every": 1000}
    )
    return whole.model_copy(
        update={"name": "miniature", "scale": "miniature", "pretrain": pretrain, "finetune": finetune}
    )
