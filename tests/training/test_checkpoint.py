"""Checkpoints: whole or not there, the newest wins, and none goes back."""

from __future__ import annotations

import json

import pytest
import torch

from olivine.artifacts import Output, begin
from olivine.errors import IntegrityError
from olivine.store import open_store
from olivine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def out(tmp_path):
    made = begin(open_store(str(tmp_path / "store")), "finetune", "segmenter", {}, {"epochs": 3}, seed=1)
    assert isinstance(made, Output)
    return made


def checkpoint(step):
    tensors = {"model": {"w": torch.full((3,), float(step))}, "optimizer": {"0.step": torch.tensor(step)}}
    return Checkpoint(step, tensors, {"loss": [{"step": step - 1, "loss": 0.5}]})


def test_there_and_back(out):
    assert load_checkpoint(out) is None
    save_checkpoint(out, checkpoint(2))
    save_checkpoint(out, checkpoint(4))
    found = load_checkpoint(out)
    assert (found.step, found.notes) == (4, checkpoint(4).notes)
    assert torch.equal(found.tensors["model"]["w"], torch.full((3,), 4.0))
    assert torch.equal(found.tensors["optimizer"]["0.step"], torch.tensor(4))


def test_a_slower_run_does_not_move_the_ref_back(out):
    save_checkpoint(out, checkpoint(4))
    save_checkpoint(out, checkpoint(2))
    assert load_checkpoint(out).step == 4


def test_saving_again_what_is_there_is_no_error(out):
    save_checkpoint(out, checkpoint(2))
    written = out.store.traffic.written_bytes
    save_checkpoint(out, checkpoint(2))
    assert out.store.traffic.written_bytes == written


def test_killed_before_the_ref_moved(out, monkeypatch):
    save_checkpoint(out, checkpoint(2))

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("olivine.training.checkpoint._move_ref", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(out, checkpoint(4))
    assert load_checkpoint(out).step == 2
    save_checkpoint(out, checkpoint(4))
    assert load_checkpoint(out).step == 4


def test_another_recipe_has_checkpoints_of_its_own(out):
    save_checkpoint(out, checkpoint(2))
    other = begin(out.store, "finetune", "segmenter", {}, {"epochs": 4}, seed=1)
    assert load_checkpoint(other) is None


def test_damage_is_found(out, tmp_path):
    save_checkpoint(out, checkpoint(2))
    for path in (tmp_path / "store" / "blobs").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError, match="do not have the promised digest"):
        load_checkpoint(out)


def test_a_checkpoint_is_no_segmenter(out):
    from olivine.artifacts import find_artifact
    from olivine.errors import UsageError

    save_checkpoint(out, checkpoint(2))
    ref = json.loads(out.store.read_ref(f"runs/{out.id}/checkpoint").content)
    with pytest.raises(
        UsageError, match=rf"'{ref['id']}' is no segmenter in .*here: none: run `olivine finetune` first"
    ):
        find_artifact(out.store, "finetune", ref["id"], "segmenter")
