"""F8: a loss or a gradient that is not finite stops the run, or costs one step, as the recipe says."""

from __future__ import annotations

import json

import pytest
import torch

from olivine.errors import DataError
from olivine.pretrain.distiller import Distiller

BAD_STEP = 2


@pytest.fixture(params=["loss", "gradient"])
def broken(request, monkeypatch):
    """From now on the step BAD_STEP has a loss, or only a gradient, that is NaN."""
    forward, calls = Distiller.forward, []

    def bad(self, batch, generator):
        losses = forward(self, batch, generator)
        calls.append(1)
        if len(calls) == BAD_STEP + 1:
            loss = losses["loss"]
            # The square root of nothing has a value and no gradient.
            worse = loss * torch.nan if request.param == "loss" else loss + torch.sqrt((loss - loss.detach()).abs())
            return losses | {"loss": worse}
        return losses

    monkeypatch.setattr(Distiller, "forward", bad)
    return request.param


def test_stop(own_chain, broken):
    name = "loss" if broken == "loss" else "the gradient"
    with pytest.raises(DataError, match=f"{name} is not finite at step {BAD_STEP} .*The last checkpoint is untouched"):
        own_chain.run("pretrain", "pretrain.checkpoint_every=1", "pretrain.seed=3")
    store = own_chain.store
    (note,) = [json.loads(store.read(key)) for key in store.list("records/replay/pretrain")]
    assert (note["step"], note["epoch"], note["bad"], len(note["keyframes"])) == (BAD_STEP, 0, [name], 2)
    assert BAD_STEP in [json.loads(store.read(key))["step"] for key in store.list("refs/runs")]


def test_skip(own_chain, broken):
    made = own_chain.run("pretrain", "pretrain.not_finite=skip", "pretrain.checkpoint_every=1")
    assert made.manifest.counts == {"keyframes": 9, "steps": 3, "skipped_steps": 1}
    (skipped,) = made.manifest.summary["skipped"]
    assert (skipped["step"], len(skipped["keyframes"])) == (BAD_STEP, 2)
    assert [entry["step"] for entry in json.loads(made.read("history.json"))] == [0, 1, 3]
    whole = own_chain.made["pretrain"]
    before = json.loads(whole.read("history.json"))[:BAD_STEP]
    assert json.loads(made.read("history.json"))[:BAD_STEP] == before
