"""Component `share`: drives in, and one group of their shards is labelled and kept in the store."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Dataset, Input, OutputPath

from components.container import call_stage
from components.label.component import NEEDS

__all__ = ["NEEDS", "share"]


@dsl.container_component
def share(
    group: str,
    drives_id: str,
    store: str,
    recipe: str,
    settings: list[str],
    keyframes: OutputPath(int),
    drives: Input[Dataset] = None,
) -> dsl.ContainerSpec:
    """Label one group's shards of the drives."""
    return call_stage("share")
