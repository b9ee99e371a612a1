"""Several processes at one store, and drives that grew: what is labelled by whom, and what is not labelled again."""

from __future__ import annotations

import pytest
from chain import Chain

from olivine.label import labelers, stage
from olivine.label.recipe import LabelRecipe

RECIPE = LabelRecipe(labeler="simulated", keyframes_per_shard=4)


def test_processes_take_their_own_shards_first_and_then_what_is_left(fresh_drives, ingested, monkeypatch):
    alone = stage.run(ingested, RECIPE)
    made, label_shard = [], stage._label_shard

    def counted(out, work, tokens, number, progress):
        made.append(number)
        return label_shard(out, work, tokens, number, progress)

    monkeypatch.setattr(stage, "_label_shard", counted)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    labels = stage.run(fresh_drives, RECIPE)
    assert made == [1, 0, 2]
    assert (labels.id, labels.manifest.data_digest) == (alone.id, alone.manifest.data_digest)


def test_a_slow_labeler_labels_only_what_is_new(fresh_drives, chain_root, monkeypatch):
    """The same keyframes in drives that were packed otherwise, which is another artifact."""
    monkeypatch.setattr(labelers.SimulatedLabeler, "is_slow", True)
    first = stage.run(fresh_drives, RECIPE)
    again = Chain(chain_root, fresh_drives.store).run("ingest", "ingest.keyframes_per_shard=2")
    assert again.id != fresh_drives.id
    monkeypatch.setattr(labelers.SimulatedLabeler, "label", lambda *arguments: pytest.fail("work was done again"))
    labels = stage.run(again, RECIPE)
    assert labels.id != first.id
    assert labels.manifest.data_digest == first.manifest.data_digest
    monkeypatch.undo()
    assert stage.run(again, RECIPE.model_copy(update={"seed": 1})).manifest.data_digest != first.manifest.data_digest
