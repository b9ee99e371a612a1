"""Component `evaluate`: drives and a segmenter in, metrics out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="4", memory="16G", gpus=1)


@dsl.container_component
def evaluate(
    drives: Input[Dataset],
    drives_id: str,
    segmenter: Input[Model],
    segmenter_id: str,
    store: str,
    recipe: str,
    settings: list[str],
    metrics: Output[Metrics],
    id: OutputPath(str),
) -> dsl.ContainerSpec:
    """Score a segmenter on the test split."""
    return call_stage("evaluate")
