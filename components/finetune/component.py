"""Component `finetune`: drives and a backbone, or none, in; a segmenter out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="8", memory="32G", gpus=1)


@dsl.container_component
def finetune(
    drives: Input[Dataset],
    drives_id: str,
    seed: int,
    init: str,
    store: str,
    recipe: str,
    settings: list[str],
    segmenter: Output[Model],
    id: OutputPath(str),
    backbone: Input[Model] = None,
    backbone_id: str = "",
    every_nth: int = 0,
    splits: str = "",
) -> dsl.ContainerSpec:
    """Train a segmenter on a fraction of the hand labels: 1 in `every_nth`, of `splits`, or what the recipe says."""
    return call_stage("finetune")
