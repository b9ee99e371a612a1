"""The TrainJob is what Trainer's published models take, and the same for the same request."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from platform_models import find_unknown

from olivine.errors import UsageError
from olivine.platform.trainjob.spec import HEARTBEAT, SPEC_HASH, Size, build_trainjob, trainjob_name

models = pytest.importorskip("kubeflow_trainer_api.models")

COMMAND = ["olivine", "pretrain", "--launch", "--recipe", "olivine"]
NOW = datetime(2026, 11, 25, tzinfo=UTC)
SIZES = [Size(), Size(num_nodes=4, gpus_per_node=8, node_selector={"gpu": "h100"}), Size(num_nodes=2)]


def build(
    size: Size = SIZES[1], run: str = "run-1", command: list[str] = COMMAND, now: datetime = NOW
) -> dict[str, Any]:
    return build_trainjob(run, command, "registry/olivine@sha256:0", size, now)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_published_models_take_it_without_a_key_they_do_not_know(size: Size) -> None:
    job = build(size)
    parsed = models.TrainerV1alpha1TrainJob.from_dict(job)
    assert parsed.spec.trainer.num_nodes == size.num_nodes
    assert parsed.spec.trainer.num_proc_per_node == max(1, size.gpus_per_node)
    assert find_unknown(job, models.TrainerV1alpha1TrainJob) == []


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "trainer", "numNode"),
        ("spec", "podTemplateOverrides"),
        ("metadata", "labelz"),
        ("spec", "runtimePatches", 0, "trainingRuntimeSpec", "template", "spec", "replicatedJobs", 0, "nam"),
    ],
)
def test_a_key_that_trainer_does_not_know_is_found(path: tuple[str | int, ...]) -> None:
    job: Any = copy.deepcopy(build())
    place = job
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "x"
    (lost,) = find_unknown(job, models.TrainerV1alpha1TrainJob)
    assert lost.endswith(str(path[-1]))


def test_nodes_and_selectors_are_where_trainer_reads_them() -> None:
    spec = build()["spec"]
    assert spec["trainer"]["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "8"
    (patch,) = spec["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert node["template"]["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "h100"}
    on_cpu = build(Size())["spec"]
    assert "nvidia.com/gpu" not in on_cpu["trainer"]["resourcesPerNode"]["limits"]


def test_the_same_request_has_the_same_name_and_hash_whenever_it_is_made() -> None:
    first, later = build(), build(now=datetime(2027, 1, 1, tzinfo=UTC))
    assert first["metadata"]["name"] == later["metadata"]["name"]
    assert first["metadata"]["annotations"][SPEC_HASH] == later["metadata"]["annotations"][SPEC_HASH]
    assert first["metadata"]["annotations"][HEARTBEAT] != later["metadata"]["annotations"][HEARTBEAT]


def test_other_requests_differ() -> None:
    hashes = {build(size)["metadata"]["annotations"][SPEC_HASH] for size in SIZES}
    assert len(hashes) == len(SIZES)
    names = {trainjob_name(run, command) for run in ("r1", "r2") for command in (COMMAND, [*COMMAND, "x"])}
    assert len(names) == 4
    assert all(len(name) <= 63 and name.replace("-", "").isalnum() for name in names)


@pytest.mark.parametrize("wrong", [{"num_nodes": 0}, {"gpus_per_node": -1}, {"node_selector": {"gpu": 1}}], ids=str)
def test_sizes_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Size(**wrong)
