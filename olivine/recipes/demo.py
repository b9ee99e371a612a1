"""Small recipes for a laptop: the demo on synthetic drives, and the smallest run that goes through every stage."""

from __future__ import annotations

from olivine.finetune.recipe import FinetuneRecipe
from olivine.ingest.recipe import IngestRecipe
from olivine.label.recipe import LabelRecipe
from olivine.models.image.recipe import EncoderRecipe
from olivine.models.network_recipe import NetworkRecipe
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.term_recipes import ConsistencyRecipe
from olivine.recipes.whole import Recipe
from olivine.training.optimizer_recipe import OptimizerRecipe

_NETWORK = NetworkRecipe(
    coordinates="cartesian",
    voxel_size=(0.4, 0.4, 0.4),
    widths=(8, 8, 16, 32, 64, 64, 32, 24, 24),
    blocks=(1, 1, 1, 1, 1, 1, 1, 1),
)


def demo() -> Recipe:
    """Synthetic drives, simulated labels, a network a quarter as wide on 0.4 m voxels.

    Rates, loss weights and lengths were chosen on the `select` split: fine-tuning is long enough for the random arm to
    reach its plateau.
    """
    return Recipe(
        name="demo",
        scale="demo",
        ingest=IngestRecipe(version="v1.0-mini"),
        label=LabelRecipe(labeler="simulated"),
        pretrain=PretrainRecipe(
            network=_NETWORK,
            encoder=EncoderRecipe(height=224, width=448),
            consistency=ConsistencyRecipe(
                update_rate=0.02, statistics_samples=600, keep_updating=True, corrected=True, max_concentration=20.0
            ),
            optimizer=OptimizerRecipe(name="adamw", lr=1e-2, schedule="cosine_step", warmup_share=0.05, clip_norm=5.0),
            weight_point_pixel=0.1,
            weight_category=1.0,
            weight_consistency=0.01,
            num_pairs=2048,
            drop_cuboid_min_pairs=64,
            batch_size=4,
            epochs=5,
            checkpoint_every=50,
        ),
        finetune=FinetuneRecipe(
            network=_NETWORK,
            splits="train",
            every_nth=48,
            optimizer=OptimizerRecipe(name="adamw", lr=5e-3, schedule="cosine_step", warmup_share=0.05, clip_norm=5.0),
            head_lr=2e-2,
            random_lr=2e-2,
            batch_size=2,
            epochs=200,
            bn_momentum=0.05,
            curve_points=4,
            checkpoint_every=100,
        ),
    )


def tiny_cpu() -> Recipe:
    """Every stage in seconds, for tests and for a first look; its numbers mean nothing."""
    whole = demo()
    small = _NETWORK.model_copy(update={"voxel_size": (0.6, 0.6, 0.6), "widths": (4, 4, 8, 8, 8, 8, 8, 8, 8)})
    assert whole.pretrain is not None
    pretrain = whole.pretrain.model_copy(
        update={
            "network": small,
            "encoder": EncoderRecipe(name="stand_in", height=96, width=176),
            "num_pairs": 256,
            "batch_size": 2,
            "epochs": 1,
            "checkpoint_every": 2,
        }
    )
    finetune = whole.finetune.model_copy(
        update={"network": small, "every_nth": 2, "batch_size": 2, "epochs": 2, "curve_points": 1}
    )
    return whole.model_copy(
        update={"name": "tiny_cpu", "scale": "tiny_cpu", "pretrain": pretrain, "finetune": finetune}
    )
