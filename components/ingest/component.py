"""Component `ingest`: raw drives in, packed keyframes out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Dataset, Output, OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="4", memory="8G")


@dsl.container_component
def ingest(
    source: str,
    version: str,
    store: str,
    recipe: str,
    settings: list[str],
    drives: Output[Dataset],
    id: OutputPath(str),
) -> dsl.ContainerSpec:
    """Read raw drives, project points into images, pack keyframes."""
    return call_stage("ingest")
