"""Component `weigh`: drives and weak labels in, sampling weights out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Dataset, Input, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="4", memory="8G")


@dsl.container_component
def weigh(
    drives_id: str,
    weak_labels: Input[Dataset],
    weak_labels_id: str,
    store: str,
    recipe: str,
    settings: list[str],
    density_weights: Output[Dataset],
    id: OutputPath(str),
    drives: Input[Dataset] = None,
) -> dsl.ContainerSpec:
    """Compute a sampling weight for every pair."""
    return call_stage("weigh")
