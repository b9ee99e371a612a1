"""Recipe of the stage `pretrain`. Defaults are the paper's headline setting as its code has it (V3, camera-ready)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from olivine.models.image.recipe import EncoderRecipe
from olivine.models.network_recipe import NetworkRecipe
from olivine.pretrain.term_recipes import (
    ConsistencyRecipe,
    ImageAugmentationRecipe,
    MomentumRecipe,
    OcclusionRecipe,
    RegressionRecipe,
    Sharing,
    SuperpixelTermRecipe,
    TemporalRecipe,
    ViewsRecipe,
)
from olivine.recipe import StageRecipe
from olivine.training.optimizer_recipe import OptimizerRecipe


class PretrainRecipe(StageRecipe):
    """The objective, term by term, and how long it is trained. The defaults are OLIVINE's."""

    method: str = "olivine"
    """Name of the method: the arm that the results of this backbone are shown under."""

    network: NetworkRecipe = NetworkRecipe()
    """Voxels and backbone."""

    encoder: EncoderRecipe = EncoderRecipe()
    """Frozen image encoder."""

    augment_images: ImageAugmentationRecipe = ImageAugmentationRecipe()
    """Crops and flips of the images."""

    occlusion: OcclusionRecipe = OcclusionRecipe()
    """Pairs that the camera does not see."""

    weight_point_pixel: float = Field(0.5, ge=0)
    """Lambda 1, of the point-pixel loss (PPKT alone: 1 and nothing else)."""

    weight_category: float = Field(0.5, ge=0)
    """Lambda 2, of the category-aware loss."""

    weight_consistency: float = Field(1.0, ge=0)
    """Lambda 3, of the semantic-consistency loss."""

    consistency: ConsistencyRecipe = ConsistencyRecipe()
    """Semantic consistency."""

    superpixel: SuperpixelTermRecipe = SuperpixelTermRecipe()
    """Superpixel contrast: SLidR, ST-SLidR, Seal."""

    temporal: TemporalRecipe = TemporalRecipe()
    """Consistency over time: Seal."""

    regression: RegressionRecipe = RegressionRecipe()
    """Regression to the teacher: ScaLR."""

    views: ViewsRecipe = ViewsRecipe()
    """Two views of a cloud: PointContrast."""

    momentum: MomentumRecipe = MomentumRecipe()
    """Clouds against a queue: DepthContrast."""

    decoupled_heads: bool = True
    """Whether the category-aware and consistency terms have heads of their own, or share those of the point-pixel term
    (paper Table 6b)."""

    sampled: Literal["features", "embeddings"] = "features"
    """What is sampled from the bird's-eye map of a VoxelNet at each point: features, with the heads behind; or, as the
    reference code does, the heads' unit embeddings, which come out shorter than one next to empty cells. The map must
    then have one cell along z. The other backbones have features of their own for each point."""

    unlabelled: Literal["ignored", "category"] = "ignored"
    """Pairs without a weak label: left out of the terms that read labels, or one more category, as in the reference
    code, which ignores no id. `category` needs `weigh.unlabelled` likewise or `sampling` batch."""

    min_confidence: int = Field(0, ge=0, le=255)
    """Pairs whose weak label is less sure than this (0..255) count as unlabelled."""

    sampling: Literal["precomputed", "batch"] = "precomputed"
    """Sampling weights of the category-aware loss: those of the stage `weigh`, or estimated anew from the pairs of each
    batch, as the reference code does."""

    sampling_variant: Literal["uniform", "density", "category", "both"] = "both"
    """With `sampling` batch: what the weights follow (paper Table 6d)."""

    radial_bin_m: float = Field(0.1, gt=0)
    """With `sampling` batch: width [m] of the bins of radial distance (reference code: 0.1 m; 1 m for VoxelNet)."""

    radial_rounding: Literal["down", "nearest"] = "down"
    """With `sampling` batch: how a distance becomes a bin (reference code: down; to the nearest for VoxelNet)."""

    embedding_dim: int = Field(64, ge=2)
    """Width D of the embeddings that both branches meet in."""

    temperature: float = Field(0.07, gt=0)
    """Temperature of every contrastive loss."""

    num_pairs: int = Field(4096, ge=2)
    """Pairs (or points) drawn for each loss, for each process; with `cross_rank` batch, for the whole batch."""

    cross_rank: Sharing = "local"
    """What processes share of a step besides gradients. `local`: nothing, as in the reference. `negatives`: pairs of
    all processes are each other's candidates. `batch`: those, batch-norm statistics, and draws keyed by keyframe, so
    that the result does not depend on the number of processes but for rounding; for OLIVINE's terms."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the 3D backbone; heads, losses and parameters stay fp32, and the image encoder has its own field
    (`encoder.precision`). fp16 scales the loss, and a step whose gradients are beyond its range is left out, with half
    the scale from then on. MinkowskiEngine has fp32 alone."""

    not_finite: Literal["stop", "skip"] = "stop"
    """What follows a loss or gradient that is NaN or infinite: the end of the run, or a step without effect, which is
    listed in the manifest."""

    optimizer: OptimizerRecipe = OptimizerRecipe()
    """Optimiser and schedule."""

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

    @property
    def needs_superpixels(self) -> bool:
        """Whether a term reads segments of the images."""
        return self.superpixel.weight > 0 or self.temporal.weight > 0

    @property
    def needs_second_view(self) -> bool:
        """Whether a term compares two views of a cloud."""
        return self.views.weight > 0 or self.momentum.weight > 0

    @property
    def needs_images(self) -> bool:
        """Whether a term reads the teacher's features."""
        return max(self.weight_point_pixel, self.weight_category, self.superpixel.weight, self.regression.weight) > 0

    @property
    def needs_labels(self) -> bool:
        """Whether more than the pairs' labels is read of the weak labels."""
        return self.needs_superpixels or self.min_confidence > 0

    @model_validator(mode="after")
    def _check(self) -> PretrainRecipe:
        weights = (self.weight_consistency, self.views.weight, self.momentum.weight, self.temporal.weight)
        if not self.needs_images and max(weights) == 0:
            raise ValueError("every term has the weight 0: there is nothing to train")
        others = (self.superpixel, self.temporal, self.regression, self.views, self.momentum)
        if self.cross_rank != "local" and max(term.weight for term in others) > 0:
            raise ValueError(f"cross_rank={self.cross_rank} is for the terms of OLIVINE and PPKT alone")
        if self.precision != "fp32" and self.network.backend == "minkowski":
            raise ValueError(
                f"precision={self.precision} needs another backend: MinkowskiEngine computes in fp32 alone"
            )
        return self
