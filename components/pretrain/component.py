"""Component `pretrain`: drives, weak labels, weights and perhaps a backbone to start from in, a backbone out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="16", memory="64G", gpus=1)


@dsl.container_component
def pretrain(
    drives: Input[Dataset],
    drives_id: str,
    weak_labels: Input[Dataset],
    weak_labels_id: str,
    density_weights: Input[Dataset],
    density_weights_id: str,
    store: str,
    recipe: str,
    settings: list[str],
    backbone: Output[Model],
    id: OutputPath(str),
    start: Input[Model] = None,
    start_id: str = "",
) -> dsl.ContainerSpec:
    """Distil images into a 3D backbone."""
    return call_stage("pretrain")


NEEDS_ON_NODES = Needs(cpu="1", memory="2G", timeout_s=14 * 86_400)


@dsl.container_component
def pretrain_on_nodes(
    drives: Input[Dataset],
    drives_id: str,
    weak_labels: Input[Dataset],
    weak_labels_id: str,
    density_weights: Input[Dataset],
    density_weights_id: str,
    store: str,
    recipe: str,
    settings: list[str],
    num_nodes: int,
    gpus_per_node: int,
    cpu_per_node: str,
    memory_per_node: str,
    node_selector: dict,
    namespace: str,
    image: str,
    backbone: Output[Model],
    id: OutputPath(str),
    start: Input[Model] = None,
    start_id: str = "",
) -> dsl.ContainerSpec:
    """Distil images into a 3D backbone, on the nodes of a TrainJob that this step supervises."""
    return call_stage("pretrain")
