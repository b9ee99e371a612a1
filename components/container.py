"""What all components share: how a stage is called in its container, and what a task of it asks of the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from kfp import dsl, kubernetes

from olivine.models.weights_path import WEIGHTS_VARIABLE
from olivine.platform.compiled_pipelines import PLACEHOLDER_IMAGE
from olivine.platform.push import GATEWAY_VARIABLE

IMAGE = PLACEHOLDER_IMAGE
"""Stands in the compiled pipelines of the repository; compiling for a cluster puts an image by digest in its place."""

STORE_SECRET = "olivine-s3"
"""Secret of the namespace with the credentials of the store. A site that gives them by service account needs none."""

SETTINGS = "olivine-settings"
"""ConfigMap of the namespace with what a site sets for all steps. One that sets nothing needs none."""

_DAY_S = 86_400
_STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION")
_SETTINGS_KEYS = {"pushgateway": GATEWAY_VARIABLE, "weights": WEIGHTS_VARIABLE}


@dataclass(frozen=True)
class Needs:
    """What one task of a component asks for; `timeout_s` [s] ends it."""

    cpu: str
    memory: str
    gpus: int = 0
    timeout_s: int = 2 * _DAY_S


def call_stage(word: str) -> dsl.ContainerSpec:
    """The container of a stage. The command is explicit, because the cluster's launcher ignores an ENTRYPOINT."""
    return dsl.ContainerSpec(image=IMAGE, command=["olivine", word], args=["--executor-input", "{{$}}"])


def place(task: dsl.PipelineTask, needs: Needs) -> dsl.PipelineTask:
    """Give a task its resources, the credentials of the store, the id of its run, a timeout and two more tries.

    KFP cannot tell an infrastructure fault from a user's mistake. The step can: it leaves a record of a mistake under
    the id of the run, and a try that finds it ends at once.
    """
    task.set_cpu_limit(needs.cpu).set_memory_limit(needs.memory)
    if needs.gpus:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(needs.gpus)
    kubernetes.use_secret_as_env(task, STORE_SECRET, {name: name for name in _STORE_KEYS}, optional=True)
    kubernetes.use_config_map_as_env(task, SETTINGS, _SETTINGS_KEYS, optional=True)
    kubernetes.use_field_path_as_env(task, "OLIVINE_RUN", "metadata.labels['pipeline/runid']")
    kubernetes.set_timeout(task, needs.timeout_s)
    return task.set_retry(num_retries=2, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration="600s")
