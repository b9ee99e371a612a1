"""Recipes of detection: SECOND on KITTI as the paper fine-tunes it, and the smallest run that goes all the way."""

from __future__ import annotations

from collections.abc import Callable

from olivine.detect.recipe import (
    CLASSES,
    DetectionRecipe,
    DetectorRecipe,
    FramesRecipe,
    GridRecipe,
    MapNetworkRecipe,
)
from olivine.errors import UsageError
from olivine.recipes.whole import NamedRecipe, override


class DetectRecipe(NamedRecipe):
    """One recipe for each step of `olivine detect`."""

    ingest: FramesRecipe = FramesRecipe()
    finetune: DetectorRecipe = DetectorRecipe()
    evaluate: DetectionRecipe = DetectionRecipe()


def second() -> DetectRecipe:
    """SECOND with OpenPCDet's settings for KITTI: 80 epochs, batches of 4 frames (paper, table 4)."""
    return DetectRecipe(name="second")


def tiny_cpu() -> DetectRecipe:
    """0.2 m voxels, a narrow network, a few steps: shows on a CPU that everything runs, finds next to nothing."""
    return DetectRecipe(
        name="tiny_cpu",
        finetune=DetectorRecipe(
            grid=GridRecipe(low=(0, -25.6, -3), high=(51.2, 25.6, 1), voxel_size=(0.2, 0.2, 0.16)),
            widths=(8, 8, 16, 16, 16),
            map_network=MapNetworkRecipe(layers=(1, 1), widths=(16, 16), up_widths=(16, 16)),
            classes=tuple(item.model_copy(update={"sampled": 3}) for item in CLASSES),
            batch_size=2,
            epochs=2,
            bn_momentum=0.1,
        ),
    )


DETECT_RECIPES: dict[str, Callable[[], DetectRecipe]] = {"second": second, "tiny_cpu": tiny_cpu}


def load_detect_recipe(name: str, overrides: list[str] | None = None) -> DetectRecipe:
    """The recipe `name` with `step.field=value` overrides; UsageError for no such recipe, field or value."""
    if name not in DETECT_RECIPES:
        raise UsageError(f"there is no recipe of detection {name!r}: choose one of {', '.join(DETECT_RECIPES)}.")
    return override(DETECT_RECIPES[name](), overrides or [])
