"""Component `close`: the end of a run, whatever it was, published in the store and shown as a page."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import HTML, Output, PipelineTaskFinalStatus

from components.container import Needs, call_stage

NEEDS = Needs(cpu="1", memory="1G", timeout_s=1800)


@dsl.container_component
def close(
    store: str,
    run: str,
    status: PipelineTaskFinalStatus,
    summary: Output[HTML],
) -> dsl.ContainerSpec:
    """Publish how the run ended, and release what it had claimed."""
    return call_stage("close")
