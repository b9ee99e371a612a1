from __future__ import annotations

import itertools
import math

import pytest
import torch

from olivine.training.optimizer import build_optimizer, rate_factor, set_rate
from olivine.training.optimizer_recipe import OptimizerRecipe


def parameter():
    return torch.nn.Parameter(torch.ones(3))


def test_groups_keep_their_own_highest_rate():
    groups = [{"params": [parameter()], "lr": 0.02}, {"params": [parameter()], "lr": 2.0}, {"params": [parameter()]}]
    optimizer = build_optimizer(OptimizerRecipe(lr=0.5), groups)
    assert [group["peak_lr"] for group in optimizer.param_groups] == [0.02, 2.0, 0.5]
    assert set_rate(optimizer, 0.25) == 0.005
    assert [group["lr"] for group in optimizer.param_groups] == [0.005, 0.5, 0.125]


def test_sgd_is_the_references():
    optimizer = build_optimizer(OptimizerRecipe(), [{"params": [parameter()]}])
    assert isinstance(optimizer, torch.optim.SGD)
    group = optimizer.param_groups[0]
    found = {name: group[name] for name in ("lr", "momentum", "dampening", "weight_decay", "nesterov")}
    assert found == {"lr": 0.5, "momentum": 0.9, "dampening": 0.1, "weight_decay": 1e-4, "nesterov": False}
    adamw = build_optimizer(OptimizerRecipe(name="adamw", lr=0.1, weight_decay=0.2), [{"params": [parameter()]}])
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.param_groups[0]["weight_decay"] == 0.2


def test_cosine_by_epoch_moves_once_an_epoch():
    factors = [rate_factor(OptimizerRecipe(), step, 50, 10) for step in range(50)]
    assert factors == [0.5 * (1 + math.cos(math.pi * (step // 10) / 5)) for step in range(50)]
    assert factors[0] == 1.0


def test_cosine_by_step_with_warm_up():
    recipe = OptimizerRecipe(schedule="cosine_step", warmup_share=0.1)
    factors = [rate_factor(recipe, step, 100, 10) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert factors[10] == 1.0
    assert all(after < before for before, after in itertools.pairwise(factors[10:]))
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[-1] < 0.001
