"""The step `pretrain` as a supervisor: a TrainJob that publishes, one that does not, and one that was done before."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from olivine.artifacts import Output, begin
from olivine.cli import app
from olivine.errors import ClusterError, ConfigError, UsageError
from olivine.platform.trainjob import step
from olivine.platform.trainjob.cluster import Cluster
from olivine.platform.trainjob.spec import Size
from olivine.platform.trainjob.step import launch_command, run_pretrain_executor, train_on_nodes
from olivine.recipes import load_recipe
from olivine.steps import StepCall
from olivine.store import Store, open_store

from .fake_cluster import FakeCluster, condition, make_pod

STAGES = {"drives": "ingest", "weak_labels": "label", "density_weights": "weigh"}
SETTINGS = ["pretrain.epochs=3"]


def publish(store: Store, stage: str, kind: str, inputs: dict[str, Any], recipe: dict[str, Any]) -> Any:
    out = begin(store, stage, kind, inputs, recipe, 0)
    assert isinstance(out, Output)
    out.put("data.bin", kind.encode())
    return out.publish({"things": 1}, {}, ("test data",))


@pytest.fixture
def call(tmp_path: Path) -> StepCall:
    store = open_store(str(tmp_path / "store"))
    made: dict[str, Any] = {}
    for kind, stage in STAGES.items():
        given = {port: made[port].manifest for port in made}
        made[kind] = publish(store, stage, kind, given, {"small": True})
    return StepCall(store.url, "tiny_cpu", SETTINGS, {kind: item.id for kind, item in made.items()})


def train(call: StepCall) -> Any:
    """What the nodes of the TrainJob do."""
    store = open_store(call.store)
    from olivine.artifacts import find_artifact

    inputs = {port: find_artifact(store, STAGES[port], id).manifest for port, id in call.inputs.items()}
    recipe = load_recipe("tiny_cpu", SETTINGS).pretrain
    return publish(store, "pretrain", "backbone", inputs, recipe.resolved())


def test_the_backbone_of_the_nodes_is_what_the_step_made(fake: FakeCluster, cluster: Cluster, call: StepCall) -> None:
    fake.statuses = deque([{}, condition("Complete")])
    fake.faults = [("PATCH", "trainjobs", lambda: train(call))]
    made = train_on_nodes(cluster, call, Size(num_nodes=2), "image", "run-1", poll_s=0.01)
    assert made.manifest.kind == "backbone"
    assert fake.count("POST") == 1
    assert fake.jobs == {}, "a job that did its work is cleared away"
    again = train_on_nodes(cluster, call, Size(num_nodes=2), "image", "run-2", poll_s=0.01)
    assert again.id == made.id
    assert fake.count("POST") == 1, "what is finished is not trained again"


def test_a_job_that_ends_without_its_backbone_is_a_failure(fake: FakeCluster, cluster: Cluster, call: StepCall) -> None:
    fake.statuses = deque([condition("Complete")])
    with pytest.raises(ClusterError, match=r"the backbone is not in .* of the same release"):
        train_on_nodes(cluster, call, Size(), "image", "run-1", poll_s=0.01)


def test_the_page_of_a_failure_is_in_the_store(fake: FakeCluster, cluster: Cluster, call: StepCall) -> None:
    fake.statuses = deque([{}, condition("Failed", "JobFailed", "gone")])
    fake.faults = [("PATCH", "trainjobs", lambda: fake.pods.append(make_pod(next(iter(fake.jobs)), 0, 1)))]
    with pytest.raises(ClusterError) as failure:
        train_on_nodes(cluster, call, Size(), "image", "run-1", poll_s=0.01)
    store = open_store(call.store)
    (key,) = store.list("records/failures")
    assert f"{store.url}/{key}" in str(failure.value)
    assert b"JobFailed: gone" in store.read(key)


def test_the_nodes_run_what_a_person_would_type(call: StepCall) -> None:
    command = launch_command(call)
    assert command[:3] == ["olivine", "pretrain", "--launch"]
    assert command[command.index("--weak-labels") + 1] == call.inputs["weak_labels"]
    assert command[-2:] == ["--set", "pretrain.epochs=3"]
    shown = CliRunner().invoke(app, ["pretrain", "--help"], env={"COLUMNS": "200"}).output
    for flag in {word for word in command if word.startswith("--")} - {"--launch"}:
        assert flag in shown


@pytest.mark.parametrize("start", ["", "d" * 64])
def test_the_nodes_start_from_a_backbone_only_where_there_is_one(call: StepCall, start: str) -> None:
    command = launch_command(replace(call, inputs=call.inputs | {"start": start}))
    assert "" not in command
    assert ("--start" in command) == bool(start)


def executor_input(folder: Path, call: StepCall, **parameters: Any) -> str:
    values = {"store": call.store, "recipe": call.recipe, "settings": call.settings}
    values |= {f"{port}_id": id for port, id in call.inputs.items()}
    outputs = {"backbone": {"artifacts": [{"name": "x", "uri": str(folder / "backbone"), "metadata": {}}]}}
    return json.dumps(
        {
            "inputs": {"parameterValues": values | parameters},
            "outputs": {"outputFile": str(folder / "out.json"), "artifacts": outputs},
        }
    )


def test_as_a_pipeline_calls_it(
    fake: FakeCluster, cluster: Cluster, call: StepCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "connect", lambda namespace: cluster)
    fake.statuses = deque([condition("Complete")])
    fake.faults = [("PATCH", "trainjobs", lambda: train(call))]
    given = executor_input(
        tmp_path, call, num_nodes=2.0, gpus_per_node=4, image="i", node_selector={"gpu": "h100"}, namespace=""
    )
    made = run_pretrain_executor(given)
    assert json.loads((tmp_path / "out.json").read_text())["parameterValues"] == {"id": made.id}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_nodes": 1.5}, "num_nodes is 1.5"),
        ({"num_nodes": 1, "image": ""}, "'image' is missing"),
        ({"num_nodes": 1, "node_selector": "gpu"}, "node_selector must be"),
        ({"num_nodes": -1}, "at least one node"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(
    cluster: Cluster, call: StepCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(step, "connect", lambda namespace: cluster)
    with pytest.raises(UsageError, match=said):
        run_pretrain_executor(executor_input(tmp_path, call, **({"image": "i"} | wrong)))


def test_without_a_cluster_nodes_cannot_be_had(call: StepCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"There is no cluster.*Leave num_nodes at 0"):
        run_pretrain_executor(executor_input(tmp_path, call, num_nodes=1, image="i"))
