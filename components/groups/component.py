"""Component `groups`: how many steps share a labelling in, a name for each out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import OutputPath

from components.container import Needs, call_stage

NEEDS = Needs(cpu="1", memory="1G", timeout_s=1800)


@dsl.container_component
def groups(number: int, groups: OutputPath(list)) -> dsl.ContainerSpec:
    """Name the groups that share a labelling."""
    return call_stage("groups")
