"""The loss scale of fp16 in the engine: overflows halve it and leave the step out, good steps are those of fp32."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from olivine.training import deepspeed_engine
from olivine.training.deepspeed_engine import FIRST_SCALE, LEAST_SCALE, Engine, join_world

PARTS = 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def engine(fp16, zero_stage=0, clip_norm=None):
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Engine(module, optimizer, PARTS, join_world(), clip_norm, zero_stage, PARTS, fp16=fp16)
    return module, made


def train(engine, factors):
    """One optimiser step in two parts, of a loss times each factor; what to do with it is as in pretraining."""
    norm = None
    for factor in factors:
        output = engine.forward(torch.ones(1, 3, device=DEVICE))
        engine.backward((output * factor).square().mean())
        if factor is factors[-1]:
            norm = engine.gradient_norm()
            if norm is not None and not torch.isfinite(torch.tensor(norm)):
                break
        sharded = engine.step()
        norm = sharded if norm is None else norm
    finite = bool(torch.isfinite(torch.tensor(norm)))
    return norm, None if finite else engine.absorb_overflow()


def values(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("zero_stage", [0, 1, 2])
def test_steps_are_those_without_a_scale(zero_stage, clip_norm):
    plain, scaled = engine(False, zero_stage, clip_norm), engine(True, zero_stage, clip_norm)
    for factors in ([1.0, 2.0], [0.5, 1.0]):
        assert train(plain[1], factors) == train(scaled[1], factors)
    for one, other in zip(values(plain[0]), values(scaled[0]), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("zero_stage", [0, 1, 2])
def test_an_overflow_halves_the_scale_and_leaves_the_step_out(zero_stage):
    module, made = engine(True, zero_stage)
    train(made, [1.0, 2.0])
    before, state = values(module), made.state_shard()
    # Its square is finite, times the loss scale it is not.
    norm, absorbed = train(made, [1.0, 2.0**58])
    assert absorbed
    assert not torch.isfinite(torch.tensor(norm))
    assert made.scaler_state()["cur_scale"] == FIRST_SCALE / 2
    assert all(torch.equal(one, other) for one, other in zip(before, values(module), strict=True))
    assert all(torch.equal(tensor, made.state_shard()[name]) for name, tensor in state.items())
    assert train(made, [1.0, 2.0])[1] is None, "the parts are counted from the next step on"
    assert not torch.equal(before[0], values(module)[0])
    other = engine(True, zero_stage)[1]
    other.restore_scaler(made.scaler_state())
    assert other.scaler_state() == made.scaler_state()


@pytest.mark.parametrize("zero_stage", [0, 1])
def test_a_scale_at_its_least_absorbs_nothing(zero_stage):
    _, made = engine(True, zero_stage)
    answers = []
    while not answers or answers[-1]:
        answers.append(train(made, [1.0, float("nan")])[1])
    assert len(answers) == 17, "from 2^16 down to 1"
    assert made.scaler_state()["cur_scale"] == LEAST_SCALE
    assert train(engine(False, zero_stage)[1], [1.0, float("nan")])[1] is False


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("zero_stage", [0, 1, 2])
def test_good_steps_double_it_and_stay_those_without_a_scale(zero_stage, clip_norm, monkeypatch):
    monkeypatch.setattr(deepspeed_engine, "STEPS_TO_DOUBLE", 3)
    plain, scaled = engine(False, zero_stage, clip_norm), engine(True, zero_stage, clip_norm)
    scales = []
    for _ in range(5):
        assert train(plain[1], [1.0, 2.0]) == train(scaled[1], [1.0, 2.0])
        scales.append(scaled[1].scaler_state()["cur_scale"] / FIRST_SCALE)
        for one, other in zip(values(plain[0]), values(scaled[0]), strict=True):
            assert torch.equal(one, other)
        state = scaled[1].state_shard()
        assert all(torch.equal(tensor, state[name]) for name, tensor in plain[1].state_shard().items())
    assert scales == [1, 1, 1, 2, 2]
