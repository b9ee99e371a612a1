"""Component `gate`: metrics of a new and of the promoted segmenter in, a decision out."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the ports from them.
from kfp import dsl
from kfp.dsl import Input, Metrics, Output

from components.container import Needs, call_stage

NEEDS = Needs(cpu="1", memory="1G", timeout_s=1800)


@dsl.container_component
def gate(
    metrics: Input[Metrics],
    metrics_id: str,
    plan: str,
    margin: float,
    store: str,
    run: str,
    decision: Output[Metrics],
    baseline: Input[Metrics] = None,
    baseline_id: str = "",
) -> dsl.ContainerSpec:
    """Promote the new segmenter if it is not worse by more than a margin, and then move the watermark."""
    return call_stage("gate")
