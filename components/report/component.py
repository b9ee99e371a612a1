"""Component `report`: the metrics of two arms in, one HTML page out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import HTML, Input, Metrics, Output

from components.container import Needs, call_stage

NEEDS = Needs(cpu="1", memory="4G")


@dsl.container_component
def report(
    metrics: Input[list[Metrics]],
    metrics_ids: list[str],
    baseline: Input[list[Metrics]],
    baseline_ids: list[str],
    store: str,
    title: str,
    report: Output[HTML],
) -> dsl.ContainerSpec:
    """Make one self-contained page of the results."""
    return call_stage("report")
