"""The scale of the paper: 50 epochs at batch 16, MinkUNet34, 1 % of the labels, with the quirks of its code."""

from __future__ import annotations

from olivine.finetune.recipe import FinetuneRecipe
from olivine.label.recipe import LabelRecipe
from olivine.models.image.recipe import EncoderRecipe
from olivine.models.network_recipe import NetworkRecipe
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.term_recipes import ImageAugmentationRecipe
from olivine.recipes.whole import Recipe

# One point's raw intensity (0..255) stands for its voxel in the reference code.
_NETWORK = NetworkRecipe(voxel_feature="first", intensity_scale=1.0)


def paper() -> Recipe:
    """The released configuration: what is not named here is a default, which is the paper's value too."""
    return Recipe(
        name="olivine",
        scale="paper",
        label=LabelRecipe(classes="seem"),
        pretrain=PretrainRecipe(
            network=_NETWORK,
            encoder=EncoderRecipe(name="resnet50", family="moco_v2", height=224, width=416),
            augment_images=ImageAugmentationRecipe(enabled=True, antialias=False),
            sampling="batch",
            sampled="embeddings",
        ),
        finetune=FinetuneRecipe(network=_NETWORK, voxel_label="first"),
    )
