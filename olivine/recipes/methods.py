"""The methods of the paper's table, each as what it changes in a base recipe: the same trainer runs them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from olivine.models.image.recipe import EncoderRecipe
from olivine.models.network_recipe import IntensityRecipe
from olivine.pretrain.term_recipes import (
    ConsistencyRecipe,
    MomentumRecipe,
    OcclusionRecipe,
    RegressionRecipe,
    SuperpixelTermRecipe,
    TemporalRecipe,
    ViewsRecipe,
)
from olivine.recipes.whole import Recipe

Method = Callable[[Recipe], Recipe]

_NO_TERM: dict[str, Any] = {"weight_point_pixel": 0.0, "weight_category": 0.0, "weight_consistency": 0.0}


def random(base: Recipe) -> Recipe:
    """No pretraining: the network starts from random parameters."""
    return base.model_copy(update={"pretrain": None})


def pointcontrast(base: Recipe) -> Recipe:
    """PointContrast (our reading): points of two views of a cloud, no images."""
    return _method(base, "pointcontrast", views=ViewsRecipe(weight=1.0))


def depthcontrast(base: Recipe) -> Recipe:
    """DepthContrast (our reading): whole clouds against a queue of earlier ones, no images."""
    small = base.scale != "paper"
    # A queue longer than the drives would hold each cloud many times over.
    momentum = MomentumRecipe(weight=1.0, queue_size=256, key_momentum=0.99) if small else MomentumRecipe(weight=1.0)
    return _method(base, "depthcontrast", momentum=momentum)


def ppkt(base: Recipe) -> Recipe:
    """PPKT as OLIVINE runs it: point-pixel contrast with the dilated image encoder."""
    return _method(base, "ppkt", weight_point_pixel=1.0)


def ppkt_strided(base: Recipe) -> Recipe:
    """PPKT as SLidR runs it: point-pixel contrast with the un-dilated encoder of stride 32."""
    recipe = _method(base, "ppkt_strided", weight_point_pixel=1.0)
    assert recipe.pretrain is not None
    encoder = recipe.pretrain.encoder
    if encoder.name != "resnet50":
        return recipe
    strided = encoder.model_copy(update={"name": "resnet50_strided"})
    return recipe.model_copy(update={"pretrain": recipe.pretrain.model_copy(update={"encoder": strided})})


def slidr(base: Recipe) -> Recipe:
    """SLidR: contrast of SLIC superpixels."""
    return _segments(_method(base, "slidr", superpixel=_superpixels(base)), "slic")


def st_slidr(base: Recipe) -> Recipe:
    """ST-SLidR: SLidR that tolerates similar superpixels and balances classes, as its code does."""
    return _segments(_method(base, "st_slidr", superpixel=_superpixels(base, tolerance="zero_logit")), "slic")


def seal(base: Recipe) -> Recipe:
    """Seal (temporal term: our reading): superpixels from the masks of weak labels, in space and over time."""
    terms = {"superpixel": _superpixels(base), "temporal": TemporalRecipe(weight=1.0)}
    return _segments(_method(base, "seal", **terms), "masks")


def scalr(base: Recipe) -> Recipe:
    """ScaLR: regression to the teacher's features, no contrast, no labels."""
    return _method(base, "scalr", regression=RegressionRecipe(weight=1.0))


def olivine(base: Recipe) -> Recipe:
    """OLIVINE as in the paper's headline (V3): three terms, density- and category-aware sampling."""
    return base


def olivine_v1(base: Recipe) -> Recipe:
    """OLIVINE's first release (V1): a tenth of the consistency term, categories weighed by share of pairs."""
    assert base.pretrain is not None
    consistency = base.pretrain.consistency.model_copy(update={"reduction": "point"})
    weight = 0.1 * base.pretrain.weight_consistency
    changes = {"consistency": consistency, "weight_consistency": weight, "unlabelled": "category", "sampling": "batch"}
    recipe = _change(base, method="olivine_v1", **changes)
    return recipe.model_copy(update={"label": recipe.label.model_copy(update={"classes": "grounded_sam"})})


def olivine_plus(base: Recipe) -> Recipe:
    """Our improved mode: Cartesian voxels, corrected statistics, sure labels, visible pairs, a ViT teacher."""
    assert base.pretrain is not None
    old = base.pretrain.consistency
    consistency = ConsistencyRecipe(
        update_rate=max(old.update_rate, 1e-3),
        statistics_samples=old.statistics_samples,
        keep_updating=True,
        corrected=True,
        max_concentration=20.0,
    )
    changes: dict[str, Any] = {
        "consistency": consistency,
        "weight_consistency": 0.1 if base.scale == "paper" else base.pretrain.weight_consistency,
        "min_confidence": 128,
        "occlusion": OcclusionRecipe(enabled=True),
        "unlabelled": "ignored",
        "sampling": "precomputed",
    }
    recipe = _change(base, method="olivine_plus", **changes)
    return _improve_inputs(recipe) if base.scale == "paper" else recipe


METHODS: dict[str, Method] = {
    method.__name__: method
    for method in (
        random,
        pointcontrast,
        depthcontrast,
        ppkt,
        ppkt_strided,
        slidr,
        st_slidr,
        seal,
        scalr,
        olivine,
        olivine_v1,
        olivine_plus,
    )
}
"""By name, in the order of the paper's table."""


def _superpixels(base: Recipe, **changes: Any) -> SuperpixelTermRecipe:
    """Every pixel is pooled at the scale of the paper; small scales have cells of many pixels, and read one in 64."""
    return SuperpixelTermRecipe(weight=1.0, pixel_stride=1 if base.scale == "paper" else 8, **changes)


def _method(base: Recipe, name: str, **terms: Any) -> Recipe:
    """The base with other terms in place of OLIVINE's."""
    return _change(base, method=name, **(_NO_TERM | terms))


def _change(base: Recipe, **changes: Any) -> Recipe:
    assert base.pretrain is not None
    return base.model_copy(update={"pretrain": base.pretrain.model_copy(update=changes)})


def _segments(recipe: Recipe, kind: str) -> Recipe:
    return recipe.model_copy(update={"label": recipe.label.model_copy(update={"superpixels": kind})})


def _improve_inputs(recipe: Recipe) -> Recipe:
    """Cartesian voxels of 0.1 m with their mean intensity, in pretraining and downstream, and a ViT as teacher."""
    assert recipe.pretrain is not None
    changes = {
        "coordinates": "cartesian",
        "voxel_size": (0.1, 0.1, 0.1),
        "voxel_feature": "mean",
        "intensity_scale": 1 / 255,
    }
    network = recipe.pretrain.network.model_copy(update=changes)
    kept = recipe.finetune.network.intensity
    # The same range as in pretraining, whatever the sensor's is.
    intensity = IntensityRecipe(scale=255.0, for_max=kept.for_max) if kept else None
    tuned = network.model_copy(update={"intensity": intensity})
    teacher = EncoderRecipe(name="vit_small", family="dinov2", height=224, width=420)
    return recipe.model_copy(
        update={
            "pretrain": recipe.pretrain.model_copy(update={"network": network, "encoder": teacher}),
            "finetune": recipe.finetune.model_copy(update={"network": tuned, "voxel_label": "majority"}),
        }
    )
