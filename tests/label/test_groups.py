"""Groups that share a labelling through the store: whatever they do or leave, the labels are those of one run."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from chain import Chain, copy_drives, worker_environment
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.artifacts import Artifact
from olivine.artifacts.group import Group, make_groups
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.label import labelers, stage
from olivine.label.recipe import ExecutionRecipe, LabelRecipe
from olivine.store import open_store

# Eleven keyframes: shards of 2, 2, 2, 2, 2, 1.
RECIPE = LabelRecipe(labeler="simulated", keyframes_per_shard=2)


@pytest.fixture(scope="module")
def alone(ingested, tmp_path_factory) -> Artifact:
    """What one run makes."""
    return stage.run(copy_drives(ingested, tmp_path_factory.mktemp("alone") / "store"), RECIPE)


def labelled(monkeypatch) -> list[str]:
    """The keyframes that are labelled from now on, as they come."""
    tokens: list[str] = []
    label = labelers.SimulatedLabeler.label

    def noted(self, drives, keyframe):
        tokens.append(keyframe.token)
        return label(self, drives, keyframe)

    monkeypatch.setattr(labelers.SimulatedLabeler, "label", noted)
    return tokens


def same(labels: Artifact, other: Artifact) -> None:
    assert (labels.id, labels.manifest.manifest_digest) == (other.id, other.manifest.manifest_digest)


@settings(max_examples=8, deadline=None)
@given(number=st.integers(1, 8), data=st.data())
def test_whatever_groups_ran_the_last_step_makes_what_one_run_makes(ingested, alone, tmp_path_factory, number, data):
    drives = copy_drives(ingested, tmp_path_factory.mktemp("shared") / "store")
    ran = data.draw(st.lists(st.sampled_from(make_groups(number)), max_size=4))
    counts = {group: stage.run_group(drives, RECIPE, group) for group in ran}
    assert list(drives.store.list("label")) == [], "a group published"
    with pytest.MonkeyPatch.context() as monkeypatch:
        left = labelled(monkeypatch)
        same(stage.run(drives, RECIPE), alone)
    assert len(left) == 11 - sum(counts.values())


def test_a_group_labels_its_own_shards_once(fresh_drives, alone, monkeypatch):
    done, tokens = labelled(monkeypatch), Drives(fresh_drives).tokens()
    assert stage.run_group(fresh_drives, RECIPE, Group(2, 3)) == 4
    assert sorted(done) == sorted([*tokens[2:4], *tokens[8:10]])
    assert stage.run_group(fresh_drives, RECIPE, Group(2, 3)) == 4
    assert len(done) == 4
    same(stage.run(fresh_drives, RECIPE), alone)
    assert len(done) == 11
    # When the labels are published, and their parts gone, a group still says the same and does nothing.
    for key in list(fresh_drives.store.list("parts")):
        fresh_drives.store.delete(key)
    assert stage.run_group(fresh_drives, RECIPE, Group(2, 3)) == 4
    assert len(done) == 11


def test_more_groups_than_shards_leave_some_without_work(fresh_drives):
    assert [stage.run_group(fresh_drives, RECIPE, group) for group in make_groups(8)] == [2, 2, 2, 2, 2, 1, 0, 0]


PROCESS = """
import os, signal, sys
from olivine.artifacts import find_artifact
from olivine.artifacts.group import Group
from olivine.label import labelers, stage
from olivine.label.recipe import LabelRecipe
from olivine.store import open_store

url, id, recipe, group, dies_at = sys.argv[1:]
label, count = labelers.SimulatedLabeler.label, []

def counted(self, drives, keyframe):
    count.append(1)
    if len(count) == int(dies_at):
        os.kill(os.getpid(), signal.SIGKILL)
    return label(self, drives, keyframe)

labelers.SimulatedLabeler.label = counted
drives = find_artifact(open_store(url), "ingest", id)
stage.run_group(drives, LabelRecipe.model_validate_json(recipe), Group.parse(group))
"""


def in_processes(drives: Artifact, groups: list[Group], dies_at: int = 0) -> list[int]:
    """Exit codes of a process for each group, all at once; each is killed at its `dies_at`-th keyframe."""
    recipe = RECIPE.model_copy(update={"execution": ExecutionRecipe(workers=1)}).model_dump_json()
    commands = [
        [sys.executable, "-c", PROCESS, drives.store.url, drives.id, recipe, str(g), str(dies_at)] for g in groups
    ]
    started = [subprocess.Popen(command, env=worker_environment()) for command in commands]
    return [process.wait(timeout=300) for process in started]


def test_a_group_that_is_killed_half_way_leaves_the_rest_to_the_last_step(fresh_drives, alone, monkeypatch):
    assert in_processes(fresh_drives, [Group(1, 2)], dies_at=3) == [-signal.SIGKILL]
    assert stage.run_group(fresh_drives, RECIPE, Group(2, 2)) == 5
    left = labelled(monkeypatch)
    same(stage.run(fresh_drives, RECIPE), alone)
    # Of the six keyframes of the first group, the two of its first shard are kept.
    assert len(left) == 4


def test_a_group_that_is_killed_and_tried_again_goes_on(fresh_drives, alone, monkeypatch):
    assert in_processes(fresh_drives, [Group(1, 2)], dies_at=3) == [-signal.SIGKILL]
    done = labelled(monkeypatch)
    assert stage.run_group(fresh_drives, RECIPE, Group(1, 2)) == 6
    assert len(done) == 4


@pytest.mark.parametrize("kind", ["directory", "S3"])
def test_groups_at_once_at_one_store(kind, fresh_drives, chain_root, alone, monkeypatch, request):
    """One of them twice, as when the platform has given up a pod that still runs."""
    drives = fresh_drives
    if kind == "S3":
        drives = Chain(chain_root, open_store(request.getfixturevalue("s3_store_url"))).run("ingest")
    assert in_processes(drives, [*make_groups(3), Group(2, 3)]) == [0] * 4
    left = labelled(monkeypatch)
    same(stage.run(drives, RECIPE), alone)
    assert left == []


def test_bad_frames_are_counted_by_the_last_step_over_all_groups(fresh_drives, monkeypatch):
    """One of a group's two is half of its frames, and a twelfth of all."""
    tokens, label = Drives(fresh_drives).tokens(), labelers.SimulatedLabeler.label

    def blind(self, drives, keyframe):
        if keyframe.token == tokens[2]:
            raise DataError("nothing to be seen")
        return label(self, drives, keyframe)

    monkeypatch.setattr(labelers.SimulatedLabeler, "label", blind)
    assert [stage.run_group(fresh_drives, RECIPE, group) for group in make_groups(6)] == [2, 1, 2, 2, 2, 1]
    with pytest.raises(DataError, match=f"label: 1 of 11 keyframes are bad(.|\n)*{tokens[2]}: nothing to be seen"):
        stage.run(fresh_drives, RECIPE)
    monkeypatch.setattr("olivine.quarantine.MAX_BAD_SHARE", 0.1)
    assert stage.run(fresh_drives, RECIPE).manifest.counts["keyframes"] == 10
    assert stage.run_group(fresh_drives, RECIPE, Group(2, 6)) == 1


def test_a_mistake_is_said_by_the_group(fresh_drives):
    with pytest.raises(UsageError):
        stage.run_group(fresh_drives, LabelRecipe(labeler="import"), Group(1, 2))


def test_hand_labels_of_test_are_no_groups_work(fresh_drives):
    recipe = LabelRecipe(labeler="truth", classes="nuscenes16", keyframes_per_shard=2)
    kept = sum(stage.run_group(fresh_drives, recipe, group) for group in make_groups(3))
    assert kept == len(Drives(fresh_drives).tokens("all_train")) < 11
    assert stage.run(fresh_drives, recipe).manifest.counts["keyframes"] == kept
