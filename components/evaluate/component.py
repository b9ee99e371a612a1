"""Component `evaluate`: drives and a segmenter in, metrics out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="4", memory="16G", gpus=1)


@dsl.container_component
def evaluate(
    drives_id: str,
    segmenter_id: str,
    store: str,
    recipe: str,
    settings: list[str],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    model_card: Output[Markdown],
    id: OutputPath(str),
    drives: Input[Dataset] = None,
    segmenter: Input[Model] = None,
    split: str = "",
) -> dsl.ContainerSpec:
    """Score a segmenter on a split: `test`, or what the recipe or `split` says."""
    return call_stage("evaluate")
