from __future__ import annotations

import random

import pytest
from comparison import Compared, run_stage

from olivine.artifacts import open_artifact
from olivine.errors import IntegrityError, UsageError
from olivine.report.trace import trace


def test_runs_come_by_arm_and_seed_whatever_the_order(compared: Compared):
    given = compared.all
    random.Random(4).shuffle(given)
    traced = trace(compared.store, given)
    assert [(run.arm, run.seed) for run in traced.runs] == [
        ("random", 0),
        ("random", 1),
        ("olivine", 0),
        ("olivine", 1),
    ]
    assert traced.seeds == [0, 1]
    assert [item.id for item in traced.artifacts] == [item.id for item in trace(compared.store, compared.all).artifacts]


def test_every_artifact_behind_the_metrics_is_found_once(compared: Compared):
    traced = trace(compared.store, compared.all)
    kinds = [artifact.manifest.kind for artifact in traced.artifacts]
    shared = ["drives", "weak_labels", "density_weights", "image_features", "backbone"]
    assert kinds == shared + 4 * ["segmenter"] + 4 * ["metrics"]
    assert len({artifact.id for artifact in traced.artifacts}) == len(kinds)
    assert [traced.owner(artifact) for artifact in traced.artifacts[:5]] == 5 * [(None, None)]
    assert traced.owner(compared.metrics["random", 1]) == ("random", 1)


def test_a_random_start_has_neither_labels_nor_backbone(compared: Compared):
    traced = trace(compared.store, [compared.metrics["random", 0]])
    assert traced.of_kind("weak_labels") is None
    assert [artifact.manifest.kind for artifact in traced.artifacts] == ["drives", "segmenter", "metrics"]


def test_nothing_to_compare_is_refused(compared: Compared):
    with pytest.raises(UsageError, match="--metrics"):
        trace(compared.store, [])


def test_another_kind_of_artifact_is_refused(compared: Compared):
    with pytest.raises(UsageError, match=r"drives .* is no metrics"):
        trace(compared.store, [trace(compared.store, compared.all).drives])


def test_a_seed_twice_in_an_arm_is_refused(compared: Compared):
    with pytest.raises(UsageError, match=r"'random' has a seed twice \(\[0, 0\]\)"):
        trace(compared.store, 2 * [compared.metrics["random", 0]])


def test_unpaired_seeds_are_refused(compared: Compared):
    with pytest.raises(UsageError, match=r"random: \[0\]; olivine: \[1\]"):
        trace(compared.store, [compared.metrics["random", 0], compared.metrics["olivine", 1]])


def test_another_split_in_the_other_arm_is_refused(own_compared: Compared):
    ours = own_compared.metrics["olivine", 0]
    inputs = {port: ref.id for port, ref in ours.manifest.inputs.items()}
    other = run_stage("evaluate", own_compared.folder, inputs, "evaluate.split=select")
    with pytest.raises(UsageError, match=r"different splits \(test, select\)"):
        trace(own_compared.store, [own_compared.metrics["random", 0], other])


def test_a_probe_does_not_stand_beside_a_fine_tuned_network(own_compared: Compared):
    drives = trace(own_compared.store, own_compared.all).drives
    probe = run_stage("finetune", own_compared.folder, {"drives": drives.id}, "finetune.frozen=augmented")
    other = run_stage("evaluate", own_compared.folder, {"drives": drives.id, "segmenter": probe.id})
    with pytest.raises(UsageError, match=r"different parts of the network \(.*all trained.*\)"):
        trace(own_compared.store, [other, own_compared.metrics["olivine", 0]])


def test_a_missing_input_is_named_with_its_remedy(own_compared: Compared):
    ref = own_compared.metrics["olivine", 0].manifest.inputs["segmenter"]
    segmenter = open_artifact(own_compared.store, ref.stage, ref.id)
    assert segmenter is not None
    backbone = segmenter.manifest.inputs["backbone"]
    own_compared.store.delete(f"pretrain/{backbone.id}/manifest.json")
    with pytest.raises(IntegrityError, match=f"backbone {backbone.id[:12]} is missing .*run `olivine pretrain`"):
        trace(own_compared.store, own_compared.all)


def test_image_features_may_be_gone(own_compared: Compared):
    traced = trace(own_compared.store, own_compared.all)
    features = traced.of_kind("image_features")
    assert features is not None
    own_compared.store.delete(features.manifest.key)
    assert trace(own_compared.store, own_compared.all).of_kind("image_features") is None
