"""Build the optimiser of a recipe and move its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch

from olivine.training.optimizer_recipe import OptimizerRecipe


def build_optimizer(recipe: OptimizerRecipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser over parameter groups; each group keeps its highest rate as `peak_lr`."""
    for group in groups:
        group["peak_lr"] = group.get("lr", recipe.lr)
    if recipe.name == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        dampening=recipe.dampening,
        weight_decay=recipe.weight_decay,
    )


def rate_factor(recipe: OptimizerRecipe, step: int, num_steps: int, steps_per_epoch: int) -> float:
    """Factor on the highest rate at `step` (from 0)."""
    warmup = int(recipe.warmup_share * num_steps)
    if step < warmup:
        return (step + 1) / warmup
    if recipe.schedule == "cosine_epoch":
        done = (step // steps_per_epoch) / (num_steps // steps_per_epoch)
    else:
        done = (step - warmup) / max(num_steps - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * done))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's rate to its highest times `factor`; return that of the first group."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])
