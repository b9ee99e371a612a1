"""Recipe of the stage `weigh`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from olivine.recipe import StageRecipe


class WeighRecipe(StageRecipe):
    """How pairs are weighed before they are drawn (the paper's density- and category-aware sampling)."""

    variant: Literal["uniform", "density", "category", "both"] = "both"
    """`both`: 1 / (density x category count), the paper's sampler; the others are its ablations (Table 6d)."""

    unlabelled: Literal["ignored", "category"] = "ignored"
    """Pairs without a weak label: weight 0, or weighed as one more category (reference code, which ignores no id)."""

    pool_keyframes: int = Field(4, ge=1)
    """Keyframes whose pairs share one density and one category count. 1: each by itself; 4: as many as the reference's
    batch on one GPU estimates from."""

    bin_m: float = Field(0.1, gt=0)
    """Width [m] of the bins of radial distance (reference code: 0.1 m)."""

    keyframes_per_shard: int = Field(64, ge=1, le=128)
    """Keyframes in one tar shard: what a killed run repeats at most."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the order in which keyframes are pooled."""
