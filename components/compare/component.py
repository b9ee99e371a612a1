"""Component `compare`: the metrics of many arms at many label fractions in, one HTML table out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import HTML, Input, Metrics, Output

from components.container import Needs, call_stage

NEEDS = Needs(cpu="1", memory="4G")


@dsl.container_component
def compare(
    metrics: Input[list[Metrics]],
    metrics_ids: list[str],
    baseline: Input[list[Metrics]],
    baseline_ids: list[str],
    store: str,
    title: str,
    comparison: Output[HTML],
) -> dsl.ContainerSpec:
    """Make one table of means and paired differences."""
    return call_stage("compare")
