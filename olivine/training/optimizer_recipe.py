"""Optimiser and learning-rate schedule as data; apart from torch, so that reading a recipe is quick."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from olivine.recipe import StageRecipe


class OptimizerRecipe(StageRecipe):
    """Defaults are the reference's: SGD, cosine to zero stepped once an epoch, no warm-up (paper section 4)."""

    name: Literal["sgd", "adamw"] = "sgd"
    """`sgd` in the paper; `adamw` for short runs."""

    lr: float = Field(0.5, gt=0)
    """Highest learning rate."""

    momentum: float = Field(0.9, ge=0, lt=1)
    """SGD alone."""

    dampening: float = Field(0.1, ge=0, lt=1)
    """SGD alone."""

    weight_decay: float = Field(1e-4, ge=0)
    """On every parameter, batch norm and biases too."""

    schedule: Literal["cosine_epoch", "cosine_step"] = "cosine_epoch"
    """Whether the cosine moves once an epoch (reference) or at every step."""

    warmup_share: float = Field(0.0, ge=0, lt=1)
    """Share of all steps in which the rate rises linearly first."""

    clip_norm: float | None = Field(None, gt=0)
    """Greatest gradient norm; none in the reference."""
