"""Checkpoints: whole or not there, the newest wins, and none goes back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from olivine.artifacts import Output, begin, open_artifact
from olivine.errors import IntegrityError, PeerError
from olivine.store import open_store
from olivine.training.checkpoint import Checkpoint, Keep, Place, load_checkpoint, read_checkpoint, save_checkpoint


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


def test_a_large_set_is_cut_into_files(out, monkeypatch):
    monkeypatch.setattr("olivine.training.checkpoint._FILE_BYTES", 24)
    members = {f"w{number}": torch.full((length,), float(number)) for number, length in enumerate((2, 3, 4, 9, 1, 1))}
    save_checkpoint(out, Checkpoint(2, {"model": members, "empty": {}}, {}))
    data = open_artifact(
        out.store, out.stage, json.loads(out.store.read_ref(f"runs/{out.id}/checkpoint").content)["id"]
    )
    paths = {blob.path.removesuffix(".safetensors") for blob in data.manifest.data}
    assert paths == {"model", "model=1", "model=2", "model=3", "empty", "notes.json"}
    found = load_checkpoint(out).tensors
    assert found["empty"] == {}
    assert found["model"].keys() == members.keys()
    assert all(torch.equal(found["model"][name], tensor) for name, tensor in members.items())


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
    with pytest.raises(IntegrityError, match=r"(?s)do not have the promised digest.* delete refs/runs/.*/checkpoint"):
        load_checkpoint(out)
    (tmp_path / "store" / "refs" / "runs" / out.id / "checkpoint").unlink()
    assert load_checkpoint(out) is None


def test_a_checkpoint_is_no_segmenter(out):
    from olivine.artifacts import find_artifact
    from olivine.errors import UsageError

    save_checkpoint(out, checkpoint(2))
    ref = json.loads(out.store.read_ref(f"runs/{out.id}/checkpoint").content)
    with pytest.raises(
        UsageError, match=rf"'{ref['id']}' is no segmenter in .*here: none: run `olivine finetune` first"
    ):
        find_artifact(out.store, "finetune", ref["id"], "segmenter")


def blobs(out):
    return set(out.store.list("blobs"))


def test_the_last_few_are_kept_and_nothing_of_the_others(out):
    for step in range(1, 7):
        save_checkpoint(out, checkpoint(step), keep=Keep(2))
        if step == 2:
            two = len(list(out.store.list("")))
    assert load_checkpoint(out).step == 6
    ref = json.loads(out.store.read_ref(f"runs/{out.id}/checkpoint").content)
    assert ([ref["step"]] + [entry["step"] for entry in ref["older"]], ref["leaving"]) == ([6, 5], [])
    assert len(list(out.store.list(""))) == two


def judged(step, mean_loss):
    return replace(checkpoint(step), mean_loss=mean_loss)


def kept_steps(out):
    """Steps of the checkpoints whose manifests are there, and of the best in the ref."""
    found = (open_artifact(out.store, out.stage, key.split("/")[1]) for key in out.store.list(out.stage))
    best = json.loads(out.store.read_ref(f"runs/{out.id}/checkpoint").content)["best"]
    return sorted(artifact.manifest.counts["step"] for artifact in found), best and best["step"]


def test_the_best_is_kept_beside_the_last(out):
    losses = [3.0, 1.0, 2.0, 2.5, 1.0, 4.0, 5.0, 6.0]
    seen = []
    for step, loss in enumerate(losses, start=1):
        save_checkpoint(out, judged(step, loss), keep=Keep(2))
        seen.append(kept_steps(out))
    assert seen == [
        ([1], 1),
        ([1, 2], 2),
        ([2, 3], 2),
        ([2, 3, 4], 2),
        ([4, 5], 5),
        ([5, 6], 5),
        ([5, 6, 7], 5),
        ([5, 7, 8], 5),
    ]
    assert load_checkpoint(out).step == 8
    ref = json.loads(out.store.read_ref(f"runs/{out.id}/checkpoint").content)
    best = open_artifact(out.store, out.stage, ref["best"]["id"])
    assert best.manifest.summary == {"mean_loss": 1.0}
    assert read_checkpoint(out, best).mean_loss == 1.0


def test_the_best_goes_when_it_is_not_wanted_any_more(out):
    for step, loss in ((1, 1.0), (2, 2.0), (3, 3.0)):
        save_checkpoint(out, judged(step, loss), keep=Keep(1))
    assert kept_steps(out) == ([1, 3], 1)
    save_checkpoint(out, judged(4, 4.0), keep=Keep(1, best=False))
    assert kept_steps(out) == ([4], None)
    assert len(blobs(out)) == 3


def test_without_a_loss_none_is_the_best(out):
    save_checkpoint(out, judged(1, 1.0), keep=Keep(1))
    save_checkpoint(out, checkpoint(2), keep=Keep(1))
    assert kept_steps(out) == ([1, 2], 1)
    other = begin(out.store, "finetune", "segmenter", {}, {"epochs": 5}, seed=1)
    save_checkpoint(other, checkpoint(1))
    assert json.loads(out.store.read_ref(f"runs/{other.id}/checkpoint").content)["best"] is None


def test_the_best_is_the_last_resort(out, tmp_path):
    save_checkpoint(out, judged(1, 1.0), keep=Keep(1))
    before = blobs(out)
    save_checkpoint(out, judged(2, 2.0), keep=Keep(1))
    for key in blobs(out) - before:
        file = tmp_path / "store" / key
        file.write_bytes(file.read_bytes()[:-1])
    assert load_checkpoint(out).step == 1


def test_a_ref_of_an_earlier_version_is_read(out):
    save_checkpoint(out, judged(1, 1.0))
    name = f"runs/{out.id}/checkpoint"
    ref = out.store.read_ref(name)
    content = json.loads(ref.content)
    older = [{"id": "0" * 64, "step": 0}]
    old = {"id": content["id"], "step": 1, "older": older, "leaving": []}
    assert out.store.move_ref(name, json.dumps(old).encode(), ref)
    assert load_checkpoint(out).step == 1
    save_checkpoint(out, judged(2, 2.0), keep=Keep(1))
    assert kept_steps(out) == ([2], 2)


def test_killed_while_an_old_one_is_removed(out, monkeypatch):
    save_checkpoint(out, checkpoint(1), keep=Keep(1))
    before = blobs(out)

    def killed(key):
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(out.store, "delete", killed)
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(out, checkpoint(load_checkpoint(out).step + 1), keep=Keep(1))
    assert load_checkpoint(out).step == 3
    assert before < blobs(out)
    save_checkpoint(out, checkpoint(4), keep=Keep(1))
    assert load_checkpoint(out).step == 4
    assert len(blobs(out)) == len(before)


def test_a_damaged_newest_one_is_passed_over(out, tmp_path, capsys):
    save_checkpoint(out, checkpoint(2))
    before = blobs(out)
    save_checkpoint(out, checkpoint(4))
    for key in blobs(out) - before:
        file = tmp_path / "store" / key
        file.write_bytes(file.read_bytes()[:-1])
    assert load_checkpoint(out).step == 2
    assert "finetune: the checkpoint of step 4 is passed over: " in capsys.readouterr().err


def damage_all_but(out, tmp_path, sound):
    for key in blobs(out) - sound:
        file = tmp_path / "store" / key
        file.write_bytes(file.read_bytes()[:-1])


def started_again(out):
    made = begin(out.store, out.stage, out.kind, out.inputs, out.recipe, out.seed)
    assert isinstance(made, Output)
    return made


def test_what_is_written_after_a_fall_back_counts(out, tmp_path):
    save_checkpoint(out, judged(2, 2.0), keep=Keep(3))
    before = blobs(out)
    save_checkpoint(out, judged(4, 1.0), keep=Keep(3))
    save_checkpoint(out, judged(6, 1.5), keep=Keep(3))
    damage_all_but(out, tmp_path, before)
    damaged = blobs(out) - before
    again = started_again(out)
    assert load_checkpoint(again).step == 2
    save_checkpoint(again, judged(3, 3.0), keep=Keep(3))
    assert load_checkpoint(started_again(out)).step == 3
    assert kept_steps(out) == ([2, 3], 2)
    assert not blobs(out) & damaged
    # The step of a damaged one is written like any other.
    save_checkpoint(again, judged(4, 0.5), keep=Keep(3))
    assert kept_steps(out) == ([2, 3, 4], 4)
    assert load_checkpoint(started_again(out)).step == 4


def test_a_fall_back_to_the_best_goes_on_from_there(out, tmp_path):
    save_checkpoint(out, judged(1, 1.0), keep=Keep(1))
    before = blobs(out)
    save_checkpoint(out, judged(9, 2.0), keep=Keep(1))
    damage_all_but(out, tmp_path, before)
    again = started_again(out)
    assert load_checkpoint(again).step == 1
    save_checkpoint(again, judged(2, 1.5), keep=Keep(1))
    assert kept_steps(out) == ([1, 2], 1)
    assert load_checkpoint(started_again(out)).step == 2


def test_a_missing_manifest_is_passed_over(out, tmp_path, capsys):
    save_checkpoint(out, checkpoint(2))
    save_checkpoint(out, checkpoint(4))
    ref = json.loads(out.store.read_ref(f"runs/{out.id}/checkpoint").content)
    out.store.delete(f"finetune/{ref['id']}/manifest.json")
    assert load_checkpoint(out).step == 2
    assert "is missing" in capsys.readouterr().err


def test_no_shard_no_commit(out):
    save_checkpoint(out, checkpoint(2))
    with pytest.raises(PeerError, match=r"no shard of rank 1, 2 came within 0 s; the checkpoint was not committed"):
        save_checkpoint(out, checkpoint(4), Place(0, 3, "run", patience_s=0.1))
    assert load_checkpoint(out).step == 2


def test_shards_of_an_earlier_run_are_not_mixed_in(out):
    """A killed run's shard of the same step may hold other bits."""
    for rank in (1, 0):
        if rank:
            save_checkpoint(out, Checkpoint(4, {f"s-{rank}": {"w": torch.ones(2)}}, {}), Place(rank, 2, "killed"))
    with pytest.raises(PeerError):
        save_checkpoint(out, Checkpoint(4, {"s-0": {"w": torch.zeros(2)}}, {}), Place(0, 2, "next", patience_s=0.1))
    assert load_checkpoint(out) is None


def test_shards_of_all_ranks_are_in_it(out):
    for rank in (2, 1, 0):
        shard = {f"optimizer-{rank:05d}": {"w": torch.full((2,), float(rank))}}
        save_checkpoint(out, Checkpoint(4, shard, {"rank": rank}), Place(rank, 3, "run"))
    found = load_checkpoint(out)
    assert sorted(found.tensors) == ["optimizer-00000", "optimizer-00001", "optimizer-00002"]
    assert found.notes == {"rank": 0}
    assert list(out.store.list("parts")) == []
