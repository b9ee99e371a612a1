"""Recipe of the stage `pretrain`. Defaults are the paper's headline setting as its code has it (V3, camera-ready)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from olivine.models.network_recipe import NetworkRecipe
from olivine.recipe import StageRecipe
from olivine.training.optimizer_recipe import OptimizerRecipe


class EncoderRecipe(StageRecipe):
    """The frozen image encoder. Its features are computed once an image and kept."""

    name: Literal["mobilesam", "stand_in"] = "mobilesam"
    """`mobilesam`: MobileSAM's image encoder, real weights. `stand_in`: hand-made, learns nothing, and is named so."""

    height: int = Field(288, ge=16)
    """Height [pixels] to which images are resized (antialiased bilinear) before encoding."""

    width: int = Field(512, ge=16)
    """Width [pixels] likewise."""


class ConsistencyRecipe(StageRecipe):
    """The semantic-consistency term: von Mises-Fisher statistics a category and their loss (paper section 3.2)."""

    update_rate: float = Field(1e-4, gt=0, lt=1)
    """Share of a batch's mean in the running mean: 1 - alpha (reference code: 1e-4; the paper gives no value)."""

    statistics_samples: int = Field(160_000, ge=0)
    """Keyframes after which the loss begins (reference: 10 000 steps at batch 16)."""

    keep_updating: bool = False
    """Whether statistics go on moving after that; the reference freezes them for the rest of the training."""

    corrected: bool = False
    """Whether the running mean's start at zero is corrected; the reference does not."""

    max_concentration: float | None = Field(None, gt=0)
    """Cap on kappa; needed with `corrected`, where kappa grows to hundreds."""

    reduction: Literal["category", "point"] = "category"
    """Mean over the categories present (reference code) or over points (paper)."""


class PretrainRecipe(StageRecipe):
    """The OLIVINE objective and how long it is trained."""

    network: NetworkRecipe = NetworkRecipe()
    """Voxels and backbone."""

    encoder: EncoderRecipe = EncoderRecipe()
    """Frozen image encoder."""

    consistency: ConsistencyRecipe = ConsistencyRecipe()
    """Semantic consistency."""

    optimizer: OptimizerRecipe = OptimizerRecipe()
    """Optimiser and schedule."""

    embedding_dim: int = Field(64, ge=2)
    """Width D of the embeddings that both branches meet in."""

    temperature: float = Field(0.07, gt=0)
    """Temperature of both contrastive losses."""

    num_pairs: int = Field(4096, ge=2)
    """Pairs drawn for each contrastive loss, for each process."""

    weight_point_pixel: float = Field(0.5, ge=0)
    """Lambda 1, of the point-pixel loss."""

    weight_category: float = Field(0.5, ge=0)
    """Lambda 2, of the category-aware loss."""

    weight_consistency: float = Field(1.0, ge=0)
    """Lambda 3, of the semantic-consistency loss."""

    drop_cuboid_share: float = Field(0.2, ge=0, lt=1)
    """Greatest share of the cloud's extent that a random cuboid removes; 0 for none."""

    drop_cuboid_min_pairs: int = Field(1024, ge=0)
    """Pairs that every image must keep, or the cuboid is not removed (reference code)."""

    bn_momentum: float = Field(0.05, gt=0, le=1)
    """Momentum of batch normalisation."""

    batch_size: int = Field(16, ge=1)
    """Keyframes in a global batch, over all processes."""

    epochs: int = Field(50, ge=1)
    """Passes over the training keyframes."""

    splits: Literal["train", "all_train"] = "all_train"
    """Keyframes to pretrain on: no hand label is read, so those of `select` may be among them."""

    checkpoint_every: int = Field(1000, ge=1)
    """Optimiser steps between checkpoints: what a killed run repeats at most."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of initialisation, order, augmentation and draws."""
