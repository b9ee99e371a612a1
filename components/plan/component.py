"""Component `plan`: the registry of drives in, what to train on next out; nothing is written where nothing is new."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Metrics, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="1", memory="1G", timeout_s=1800)


@dsl.container_component
def plan(
    store: str,
    version: str,
    recipe: str,
    settings: list[str],
    min_new: int,
    only: list[str],
    claim_hours: float,
    warm_start: bool,
    run: str,
    planned: Output[Metrics],
    plan: OutputPath(str),
    source: OutputPath(str),
    start: OutputPath(str),
    promoted: OutputPath(str),
) -> dsl.ContainerSpec:
    """Plan the next training on new drives, and claim it."""
    return call_stage("plan")
