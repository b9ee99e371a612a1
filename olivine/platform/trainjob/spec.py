"""The TrainJob of a training: its name and its specification, the same for the same request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from olivine.artifacts import canonical_json, sha256_hex
from olivine.errors import UsageError

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
RUNTIME = "olivine-deepspeed"
MANAGED_BY = {"app.kubernetes.io/managed-by": "olivine"}
HEARTBEAT = "olivine.dev/heartbeat"
SPEC_HASH = "olivine.dev/spec-hash"
RUN_LABEL = "olivine.dev/run"
GPU = "nvidia.com/gpu"
_PATCH_MANAGER = "olivine.dev/supervisor"
# Replicated jobs of a runtime and the container that trains are called `node` by Trainer's plug-ins.
NODE = "node"


@dataclass(frozen=True)
class Size:
    """How large a training is.

    Args:
        num_nodes: pods, each on a node of its own where it takes the whole node's GPUs.
        gpus_per_node: processes and GPUs of each; 0 trains on one process of the CPU.
        cpu_per_node, memory_per_node: limits of each pod, as Kubernetes writes them.
        node_selector: labels that a node must have.
        deadline_s: time [s] after which the job is ended.
    """

    num_nodes: int = 1
    gpus_per_node: int = 0
    cpu_per_node: str = "8"
    memory_per_node: str = "32Gi"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    deadline_s: int = 7 * 86_400

    def __post_init__(self) -> None:
        if self.num_nodes < 1 or self.gpus_per_node < 0:
            raise UsageError(
                f"num_nodes = {self.num_nodes}, gpus_per_node = {self.gpus_per_node}: a TrainJob has at least one node "
                "and no negative number of GPUs. num_nodes = 0 trains in the step itself."
            )
        if not all(isinstance(value, str) for value in self.node_selector.values()):
            raise UsageError('node_selector: every value must be a text, as in {"gpu": "h100"}.')


def trainjob_name(run: str, call: Sequence[str]) -> str:
    """`pretrain-<run>-<call>`: the same again when the platform tries the step of a run again."""
    return f"pretrain-{sha256_hex(run.encode())[:8]}-{sha256_hex(canonical_json(list(call)))[:8]}"


def build_trainjob(run: str, command: Sequence[str], image: str, size: Size, now: datetime) -> dict[str, Any]:
    """The TrainJob that runs `command` on every node of `size`.

    Args:
        run: id of the pipeline's run.
        command: what each node runs.
        image: image of the nodes, by digest.
        size: how large it is.
        now: the first heartbeat.
    """
    resources = {"cpu": size.cpu_per_node, "memory": size.memory_per_node}
    if size.gpus_per_node:
        resources[GPU] = str(size.gpus_per_node)
    run_label = {RUN_LABEL: sha256_hex(run.encode())[:8]}
    pod: dict[str, Any] = {"metadata": {"labels": MANAGED_BY | run_label}}
    if size.node_selector:
        pod["spec"] = {"nodeSelector": dict(size.node_selector)}
    spec = {
        "runtimeRef": {"name": RUNTIME},
        "activeDeadlineSeconds": size.deadline_s,
        "trainer": {
            "image": image,
            "command": list(command),
            "numNodes": size.num_nodes,
            "numProcPerNode": max(1, size.gpus_per_node),
            "resourcesPerNode": {"limits": resources, "requests": resources},
        },
        "runtimePatches": [
            {
                "manager": _PATCH_MANAGER,
                "trainingRuntimeSpec": {
                    "template": {"spec": {"replicatedJobs": [{"name": NODE, "template": {"spec": {"template": pod}}}]}}
                },
            }
        ],
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {
            "name": trainjob_name(run, command),
            "labels": MANAGED_BY | run_label,
            "annotations": {SPEC_HASH: sha256_hex(canonical_json(spec)), HEARTBEAT: now.isoformat()},
        },
        "spec": spec,
    }
