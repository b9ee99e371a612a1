"""F8's neighbour: a gradient beyond the range of fp16 is no fault. It costs a step, half the loss scale, and no policy."""

from __future__ import annotations

import json

import pytest
import torch

from olivine.errors import DataError
from olivine.pretrain.distiller import Distiller
from olivine.training import deepspeed_engine
from olivine.training.deepspeed_engine import FIRST_SCALE

BAD_STEP = 1
SETTINGS = ["pretrain.precision=fp16", "pretrain.checkpoint_every=1", "pretrain.seed=3"]


class Broken(Exception):
    """The end of a run that nobody catches."""


@pytest.fixture
def beyond(monkeypatch):
    """The gradients of BAD_STEP are infinite, its losses are not; with `dies_at` the run breaks off before that step."""
    forward, state = Distiller.forward, {"step": 0, "dies_at": None}

    def wide(self, batch, generator):
        step = state["step"]
        if step == state["dies_at"]:
            raise Broken
        state["step"] += 1
        losses = forward(self, batch, generator)
        loss = losses["loss"]
        if step == BAD_STEP:
            # The square root of nothing has a value and no gradient.
            return losses | {"loss": loss + torch.sqrt((loss - loss.detach()).abs())}
        return losses

    monkeypatch.setattr(Distiller, "forward", wide)
    return state


def test_it_costs_a_step_and_survives_a_resume(own_chain, beyond):
    whole = own_chain.run("pretrain", *SETTINGS)
    assert whole.manifest.counts == {"keyframes": 9, "steps": 3, "overflow_steps": 1}
    assert "skipped" not in whole.manifest.summary
    steps = [entry["step"] for entry in json.loads(whole.read("history.json"))]
    assert steps == [0, 2, 3]
    own_chain.store.delete(whole.manifest.key)
    own_chain.store.delete(f"refs/runs/{whole.id}/checkpoint")
    beyond.update(step=0, dies_at=3)
    with pytest.raises(Broken):
        own_chain.run("pretrain", *SETTINGS)
    beyond.update(dies_at=None)
    scales = []
    step = deepspeed_engine.Engine.step

    def noted(self):
        scales.append(self.scaler_state()["cur_scale"])
        return step(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deepspeed_engine.Engine, "step", noted)
        again = own_chain.run("pretrain", *SETTINGS)
    assert scales == [FIRST_SCALE / 2], "the one step that was left, at the scale of before"
    assert again.manifest == whole.manifest


def test_where_no_smaller_scale_is_left_it_is_a_fault(own_chain, beyond, monkeypatch):
    monkeypatch.setattr(deepspeed_engine, "LEAST_SCALE", FIRST_SCALE)
    with pytest.raises(DataError, match=f"the gradient is not finite at step {BAD_STEP} "):
        own_chain.run("pretrain", *SETTINGS)
