"""How a run is carried out changes no bit and no id; what the recipe asks for does what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from chain import quietly

from olivine.artifacts import open_artifact, verify
from olivine.errors import UsageError
from olivine.recipes import load_recipe
from olivine.training.execution import Execution


def run(chain, execution, *settings):
    return quietly("pretrain", replace(chain.call("pretrain", *settings), execution=execution))


def losses(artifact):
    return [entry["loss"] for entry in json.loads(artifact.read("history.json"))]


def test_how_it_is_carried_out_is_no_part_of_the_identity(chain, own_chain, tmp_path):
    """The finished artifact goes, and is made again in every other way: the same id, the same bits."""
    whole = own_chain.made["pretrain"]
    for key in (whole.manifest.key, f"refs/runs/{whole.id}/checkpoint"):
        own_chain.store.delete(key)
    carried = Execution(
        zero_stage=1,
        recompute_activations=True,
        cache=tmp_path / "cache",
        keep_checkpoints=1,
        background_checkpoints=True,
    )
    again = run(own_chain, carried)
    assert again.manifest == whole.manifest
    assert any((tmp_path / "cache").glob("??/*"))
    records = [json.loads(again.store.read(key)) for key in again.store.list(f"records/runs/pretrain/{again.id}")]
    assert {record.get("zero_stage") for record in records} == {0, 1}
    assert all(record["samples"] == 8 and record["data_wait_share"] <= 1 for record in records)


def test_the_checkpoint_of_the_lowest_mean_loss_is_kept(own_chain):
    made = run(own_chain, Execution(keep_checkpoints=1), "pretrain.checkpoint_every=2", "pretrain.epochs=4")
    ref = json.loads(own_chain.store.read_ref(f"runs/{made.id}/checkpoint").content)
    found = losses(made)
    # None is made after the last step.
    means = {done: sum(found[done - 2 : done]) / 2 for done in range(2, len(found), 2)}
    assert len(means) >= 3
    assert ref["best"]["step"] == min(means, key=means.get)
    assert ref["best"]["mean_loss"] == pytest.approx(min(means.values()))
    assert ref["mean_loss"] == pytest.approx(means[ref["step"]])
    for id in (ref["id"], ref["best"]["id"]):
        assert verify(open_artifact(own_chain.store, "pretrain", id)) == []


def test_parts_are_what_processes_would_draw(own_chain):
    whole = own_chain.made["pretrain"]
    parts = run(own_chain, Execution(accumulate=2), "pretrain.checkpoint_every=9")
    assert losses(parts) != losses(whole), "batch-norm statistics and draws are those of a part"
    assert losses(parts) == pytest.approx(losses(whole), rel=0.1)
    with pytest.raises(UsageError, match="batch_size 2 is not a multiple of 1 processes times 4 accumulated parts"):
        run(own_chain, Execution(accumulate=4), "pretrain.seed=8")


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.05), ("fp16", 0.01)])
def test_half_precision_is_near(own_chain, precision, most):
    half = run(own_chain, None, f"pretrain.precision={precision}")
    whole = losses(own_chain.made["pretrain"])
    assert losses(half) != whole
    assert losses(half) == pytest.approx(whole, rel=most)
    assert half.manifest.counts.get("overflow_steps") == {"bf16": None, "fp16": 0}[precision]


def test_whole_batches_shared_by_one_process(own_chain):
    """Other draws, and batch-norm statistics in float64: near, and repeatable."""
    shared = run(own_chain, None, "pretrain.cross_rank=batch")
    assert losses(shared) == pytest.approx(losses(own_chain.made["pretrain"]), rel=0.1)
    alone = run(own_chain, None, "pretrain.cross_rank=negatives")
    assert losses(alone) == losses(own_chain.made["pretrain"]), "one process has all the negatives"


@pytest.mark.parametrize(
    ("execution", "settings", "message"),
    [
        (Execution(accumulate=2), ["pretrain.cross_rank=batch"], "leave --accumulate at 1"),
        (None, ["pretrain.cross_rank=batch", "pretrain.num_pairs=257"], "257 must be a multiple of batch_size 2"),
        (Execution(zero_stage=1), ["pretrain.not_finite=skip"], "use --zero 0 --accumulate 1"),
        (
            Execution(recompute_activations=True),
            ["pretrain.network.kind=waffleiron", "pretrain.network.waffleiron.width=8"],
            "--recompute-activations is for MinkUNet alone",
        ),
    ],
)
def test_what_does_not_go_together_is_said(own_chain, execution, settings, message):
    with pytest.raises(UsageError, match=message):
        run(own_chain, execution, *settings)


@pytest.mark.parametrize(
    "settings",
    [
        ["pretrain.cross_rank=batch", "pretrain.regression.weight=1"],
        ["pretrain.precision=bf16", "pretrain.network.backend=minkowski"],
        ["pretrain.precision=fp16", "pretrain.network.backend=minkowski"],
    ],
)
def test_recipes_refuse_what_is_not_there(settings):
    with pytest.raises(UsageError, match=r"for the terms of OLIVINE|computes in fp32 alone"):
        load_recipe("tiny_cpu", settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"zero_stage": 3}, "--zero is 3, but must be 0, 1 or 2"),
        ({"keep_checkpoints": 0}, "--keep is 0"),
        ({"hang_s": 1}, "--hang-s is 1"),
    ],
)
def test_flags_out_of_range(given, message):
    with pytest.raises(UsageError, match=message):
        Execution(**given)
