"""The terms of the objective, one a file. A term that is switched on is built; one that is not does not exist."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from olivine.models.backbone import Backbone
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.terms.category import CategoryTerm
from olivine.pretrain.terms.consistency import ConsistencyTerm
from olivine.pretrain.terms.momentum import MomentumTerm
from olivine.pretrain.terms.point_pixel import PointPixelTerm
from olivine.pretrain.terms.regression import RegressionTerm
from olivine.pretrain.terms.superpixel import SuperpixelTerm
from olivine.pretrain.terms.temporal import TemporalTerm
from olivine.pretrain.terms.term import Term
from olivine.pretrain.terms.views import ViewsTerm


def build_terms(
    recipe: PretrainRecipe, num_categories: int, image_channels: int, backbone: Backbone
) -> tuple[nn.ModuleDict, dict[str, float]]:
    """The terms that the recipe switches on, and their weights, by name in the order of their computation."""
    makers: dict[str, tuple[float, Callable[[], Term]]] = {
        "point_pixel": (recipe.weight_point_pixel, lambda: PointPixelTerm(recipe)),
        "category": (recipe.weight_category, lambda: CategoryTerm(recipe)),
        "consistency": (recipe.weight_consistency, lambda: ConsistencyTerm(recipe, num_categories)),
        "superpixel": (recipe.superpixel.weight, lambda: SuperpixelTerm(recipe)),
        "temporal": (recipe.temporal.weight, lambda: TemporalTerm(recipe)),
        "regression": (recipe.regression.weight, lambda: RegressionTerm(recipe, backbone.out_channels, image_channels)),
        "views": (recipe.views.weight, lambda: ViewsTerm(recipe)),
        "momentum": (recipe.momentum.weight, lambda: MomentumTerm(recipe, backbone)),
    }
    chosen = {name: (weight, make()) for name, (weight, make) in makers.items() if weight > 0}
    return nn.ModuleDict({name: term for name, (_, term) in chosen.items()}), {
        name: weight for name, (weight, _) in chosen.items()
    }
