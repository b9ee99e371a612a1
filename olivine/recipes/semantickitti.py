"""SemanticKITTI after pretraining on nuScenes: the paper's rates, lengths and fractions (method section 7, table 2).

A backbone is pretrained with the recipe `olivine` (or METHOD) on drives with cameras, and fine-tuned with
`semantickitti` (or METHOD@semantickitti) on scans.
"""

from __future__ import annotations

from collections.abc import Callable

from olivine.ingest.recipe import IngestRecipe
from olivine.models.network_recipe import IntensityRecipe
from olivine.recipes.paper import paper
from olivine.recipes.whole import Recipe
from olivine.training.optimizer_recipe import OptimizerRecipe

# The reference code adds 1 to intensities of 0..1, and was pretrained on 0..255.
_INTENSITY = IntensityRecipe(scale=1.0, offset=1.0, for_max=1.0)


def semantickitti() -> Recipe:
    """SemanticKITTI with 1 % of the scans, 100 epochs; pretraining is that of the paper, on nuScenes."""
    return _fraction(every_nth=100, epochs=100)


def semantickitti_5() -> Recipe:
    """SemanticKITTI with 5 % of the scans, 50 epochs."""
    return _fraction(every_nth=20, epochs=50)


def semantickitti_10() -> Recipe:
    """SemanticKITTI with 10 % of the scans, 50 epochs."""
    return _fraction(every_nth=10, epochs=50)


def semantickitti_20() -> Recipe:
    """SemanticKITTI with 20 % of the scans, 50 epochs."""
    return _fraction(every_nth=5, epochs=50)


def semantickitti_100() -> Recipe:
    """SemanticKITTI with all scans, 50 epochs."""
    return _fraction(every_nth=1, epochs=50)


def _fraction(every_nth: int, epochs: int) -> Recipe:
    whole = paper()
    finetune = whole.finetune.model_copy(
        update={
            "network": whole.finetune.network.model_copy(update={"intensity": _INTENSITY}),
            "fraction_unit": "scan",
            "every_nth": every_nth,
            "epochs": epochs,
            "batch_size": 10,
            "optimizer": OptimizerRecipe(lr=0.05),
        }
    )
    return whole.model_copy(update={"ingest": IngestRecipe(dataset="semantickitti"), "finetune": finetune})


FRACTIONS: dict[str, Callable[[], Recipe]] = {
    fraction.__name__: fraction
    for fraction in (semantickitti, semantickitti_5, semantickitti_10, semantickitti_20, semantickitti_100)
}
"""By name."""
