"""What all components share: how a stage is called in its container, and what a task of it asks of the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from kfp import dsl

IMAGE = "olivine:dev"
"""Stands in the compiled pipelines of the repository; compiling for a cluster puts an image by digest in its place."""


@dataclass(frozen=True)
class Needs:
    """What one task of a component asks for."""

    cpu: str
    memory: str
    gpus: int = 0


def call_stage(word: str) -> dsl.ContainerSpec:
    """The container of a stage. The command is explicit, because the cluster's launcher ignores an ENTRYPOINT."""
    return dsl.ContainerSpec(image=IMAGE, command=["olivine", word], args=["--executor-input", "{{$}}"])


def place(task: dsl.PipelineTask, needs: Needs) -> dsl.PipelineTask:
    """Give a task its resources and two more tries.

    KFP cannot tell an infrastructure fault from a user's mistake; the latter ends in seconds, so two more tries cost
    little. The local runner can tell, and tries only the former again.
    """
    task.set_cpu_limit(needs.cpu).set_memory_limit(needs.memory)
    if needs.gpus:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(needs.gpus)
    return task.set_retry(num_retries=2, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration="600s")
