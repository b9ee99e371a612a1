"""Checkpoints beside the training hold the state of their own step, and no failure is lost."""

from __future__ import annotations

import threading

import pytest
import torch

from olivine.errors import StoreError
from olivine.training.background import Background
from olivine.training.checkpoint import Checkpoint


def test_what_is_written_is_the_state_at_its_step():
    background, go, written = Background(), threading.Event(), []
    weight = torch.zeros(3)

    def write(checkpoint):
        assert go.wait(20)
        written.append((checkpoint.step, checkpoint.tensors["model"]["w"].tolist()))

    background.start(write, Checkpoint(1, {"model": {"w": weight}}, {}))
    weight += 1
    assert written == []
    go.set()
    background.start(write, Checkpoint(2, {"model": {"w": weight}}, {}))
    background.finish()
    assert written == [(1, [0.0] * 3), (2, [1.0] * 3)]


def test_a_failure_is_told_at_the_next_one():
    background = Background()

    def write(checkpoint):
        raise StoreError("no store")

    background.start(write, Checkpoint(1, {}, {}))
    with pytest.raises(StoreError, match="no store"):
        background.start(write, Checkpoint(2, {}, {}))
    background.finish()
