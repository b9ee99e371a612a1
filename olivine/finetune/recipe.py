"""Recipe of the stage `finetune`. Defaults are the paper's for nuScenes at 1 % of the labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from olivine.models.network_recipe import NetworkRecipe
from olivine.recipe import StageRecipe
from olivine.training.optimizer_recipe import OptimizerRecipe


class FinetuneRecipe(StageRecipe):
    """How a segmenter is trained on hand labels."""

    network: NetworkRecipe = NetworkRecipe()
    """Voxels and backbone; must be those of the backbone to start from."""

    every_nth: int = Field(100, ge=1)
    """Label fraction: keep the N-th, 2N-th, ... train scene in table order (100 is about 1 %, paper protocol)."""

    fraction_unit: Literal["scene", "keyframe", "scan"] = "scene"
    """What `every_nth` counts. The paper's nuScenes protocol is by scene, that of SemanticKITTI by `scan`: sorted by
    sequence and frame, every N-th beginning with the first. The unit is shown beside every number."""

    splits: Literal["train", "all_train"] = "all_train"
    """Scenes that the fraction counts. `all_train` is the official train list of the paper's protocol (700 scenes);
    `train` leaves `select` unlabelled, for choosing between models and for `curve_points`."""

    optimizer: OptimizerRecipe = OptimizerRecipe(lr=0.02)
    """Rate of the backbone when it starts from a pretrained one (released configurations: 0.02; paper's text: 0.05)."""

    head_lr: float = Field(2.0, gt=0)
    """Rate of the head when the backbone is pretrained."""

    random_lr: float = Field(0.05, gt=0)
    """Rate of everything when the backbone starts from random."""

    frozen: Literal["no", "augmented", "cached"] = "no"
    """Linear probing: the backbone is frozen and in evaluation mode, the head alone is trained, at `head_lr`.
    `augmented` runs the backbone on every augmented sample, as the paper's protocol does; `cached` runs it once on each
    keyframe without augmentation, which is as much faster as there are epochs."""

    voxel_label: Literal["majority", "first"] = "majority"
    """Training label of a voxel: that of most of its points, or of one point as in the reference code."""

    batch_size: int = Field(16, ge=1)
    """Keyframes a step."""

    epochs: int = Field(100, ge=1)
    """Passes over the labelled keyframes (paper: 100 at 1 %, 50 otherwise). The last one counts."""

    bn_momentum: float = Field(0.02, gt=0, le=1)
    """Momentum of batch normalisation."""

    curve_points: int = Field(0, ge=0)
    """How many times on the way the `select` split is scored, to show where the curve flattens; 0 for never. Needs
    `splits` train: a curve over labelled scenes would flatter."""

    checkpoint_every: int = Field(1000, ge=1)
    """Optimiser steps between checkpoints."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of initialisation, order and augmentation."""

    @model_validator(mode="after")
    def _check(self) -> FinetuneRecipe:
        if self.curve_points and self.splits != "train":
            raise ValueError("curve_points needs splits=train: `select` is scored on the way and may not be labelled")
        return self
