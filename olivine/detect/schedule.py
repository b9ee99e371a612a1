"""AdamW in one cycle (Smith 2018, with the cosines of fastai), by the number of the step alone."""

from __future__ import annotations

import math

import torch

from olivine.detect.recipe import OneCycleRecipe

_LAST_DIVISOR = 1e4
_SECOND_BETA = 0.99


def build_adamw(recipe: OneCycleRecipe, module: torch.nn.Module) -> torch.optim.AdamW:
    """The optimiser of all parameters; `set_cycle` gives it its rate and momentum before every step."""
    betas = (recipe.momentum[0], _SECOND_BETA)
    return torch.optim.AdamW(module.parameters(), lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay)


def set_cycle(optimizer: torch.optim.Optimizer, recipe: OneCycleRecipe, step: int, num_steps: int) -> float:
    """Set rate and momentum of the step (from 0) of `num_steps`; return the rate.

    The numbers of `torch.optim.lr_scheduler.OneCycleLR`, which would have to be saved with every checkpoint.
    """
    first = recipe.lr / recipe.start_divisor
    turning = recipe.rising_share * num_steps - 1
    high, low = recipe.momentum
    if step <= turning:
        share = step / turning if turning else 1.0
        rate, momentum = _between(first, recipe.lr, share), _between(high, low, share)
    else:
        share = (step - turning) / (num_steps - 1 - turning)
        rate, momentum = _between(recipe.lr, first / _LAST_DIVISOR, share), _between(low, high, share)
    for group in optimizer.param_groups:
        group["lr"], group["betas"] = rate, (momentum, _SECOND_BETA)
    return rate


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
