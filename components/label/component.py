"""Component `label`: drives in, weak labels out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Dataset, Input, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="4", memory="16G")


@dsl.container_component
def label(
    drives_id: str,
    store: str,
    recipe: str,
    settings: list[str],
    weak_labels: Output[Dataset],
    id: OutputPath(str),
    drives: Input[Dataset] = None,
    labelled: list[int] = [],  # noqa: B006 - KFP takes the default of a parameter from here
) -> dsl.ContainerSpec:
    """Give every pixel and every pair a weak category."""
    return call_stage("label")
