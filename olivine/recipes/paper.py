"""The scale of the paper: 50 epochs at batch 16, MinkUNet34, 1 % of the labels, with the quirks of its code.

And its other protocols: more labels, linear probing, WaffleIron, VoxelNet for detection. The pretraining on MinkUNet is
one and the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from olivine.finetune.recipe import FinetuneRecipe
from olivine.label.recipe import LabelRecipe, SlicRecipe
from olivine.models.image.recipe import EncoderRecipe
from olivine.models.network_recipe import NetworkRecipe
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.term_recipes import ImageAugmentationRecipe
from olivine.recipes.whole import Recipe
from olivine.training.optimizer_recipe import OptimizerRecipe

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


def paper_probe() -> Recipe:
    """Linear probing at the paper's rates: a frozen backbone, all labels, 50 epochs, the head alone at 0.05."""
    # The number of epochs is not in the paper; it is that of its authors' later release with the same protocol.
    return _downstream(paper(), every_nth=1, epochs=50, frozen="augmented", head_lr=0.05)


def paper_5() -> Recipe:
    """5 % of the labels, 50 epochs, as the paper fine-tunes on more than 1 %."""
    return _downstream(paper(), every_nth=20, epochs=50)


def paper_10() -> Recipe:
    """10 % of the labels, 50 epochs."""
    return _downstream(paper(), every_nth=10, epochs=50)


def paper_25() -> Recipe:
    """25 % of the labels, 50 epochs."""
    return _downstream(paper(), every_nth=4, epochs=50)


def paper_100() -> Recipe:
    """All labels, 50 epochs."""
    return _downstream(paper(), every_nth=1, epochs=50)


def waffleiron() -> Recipe:
    """WaffleIron (WI-48-384) at 1 % of the labels, at the rates of its own paper and of ScaLR (our reading).

    The paper says neither which size it took nor how it trained it.
    """
    whole = paper()
    assert whole.pretrain is not None
    network = NetworkRecipe(kind="waffleiron")
    # ScaLR, which distils into this backbone: AdamW at 2e-3, 25 epochs.
    distilled = OptimizerRecipe(name="adamw", lr=2e-3, weight_decay=0.03, schedule="cosine_step", warmup_share=0.08)
    # WaffleIron on nuScenes: AdamW at 1e-3, batch 4, 4 of 45 epochs to warm up.
    tuned = OptimizerRecipe(name="adamw", lr=1e-3, weight_decay=3e-3, schedule="cosine_step", warmup_share=4 / 45)
    pretrain = whole.pretrain.model_copy(update={"network": network, "optimizer": distilled, "epochs": 25})
    changes = {"network": network, "optimizer": tuned, "head_lr": 1e-3, "random_lr": 1e-3, "batch_size": 4}
    finetune = whole.finetune.model_copy(update=changes | {"bn_momentum": 0.1})
    return whole.model_copy(update={"pretrain": pretrain, "finetune": finetune})


def waffleiron_10() -> Recipe:
    """WaffleIron at 10 % of the labels, 45 epochs."""
    return _downstream(waffleiron(), every_nth=10, epochs=45)


def waffleiron_100() -> Recipe:
    """WaffleIron with all labels, 45 epochs."""
    return _downstream(waffleiron(), every_nth=1, epochs=45)


def voxelnet() -> Recipe:
    """VoxelNet pretrained for detection on KITTI (table 4), but with intensities of 0..1 as the detector sees them.

    The reference code pretrains on 0..255 and trains detectors on 0..1. Detectors have recipes of their own
    (`olivine.recipes.detection`): fine-tuning here stands for no number of the paper.
    """
    whole = paper()
    assert whole.pretrain is not None
    network = NetworkRecipe(kind="voxelnet", intensity_scale=1 / 255)
    changes = {
        "network": network,
        "optimizer": OptimizerRecipe(lr=0.01),
        "bn_momentum": 0.01,
        "radial_bin_m": 1.0,
        "radial_rounding": "nearest",
    }
    return whole.model_copy(
        update={
            # SLidR's superpixels are larger here; the other methods read none of SLIC.
            "label": whole.label.model_copy(update={"slic": SlicRecipe(num_segments=30)}),
            "pretrain": whole.pretrain.model_copy(update=changes),
            "finetune": whole.finetune.model_copy(update={"network": network}),
        }
    )


PROTOCOLS: dict[str, Callable[[], Recipe]] = {
    protocol.__name__: protocol
    for protocol in (
        paper,
        paper_probe,
        paper_5,
        paper_10,
        paper_25,
        paper_100,
        waffleiron,
        waffleiron_10,
        waffleiron_100,
        voxelnet,
    )
}
"""By name: all at the scale of the paper, they differ in the backbone, in what is fine-tuned and on how many labels."""


def _downstream(whole: Recipe, **changes: Any) -> Recipe:
    return whole.model_copy(update={"finetune": whole.finetune.model_copy(update=changes)})
