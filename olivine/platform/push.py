"""Figures of short steps, pushed to a Prometheus Pushgateway where OLIVINE_PUSHGATEWAY names one (`host:port`).

A step of minutes may end between two scrapes. What it pushes is grouped by run and step and deleted when the run is
closed; the time of the last retraining stays, since an alert asks how old it is. A training has an endpoint of its own
(`olivine.training.metrics`) and pushes nothing. A gateway that is away, or is none, never fails a step.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from olivine.stages import WORDS

GATEWAY_VARIABLE = "OLIVINE_PUSHGATEWAY"
GAUGES = {
    "olivine_step_seconds": "How long the step took.",
    "olivine_step_keyframes": "Keyframes that the step went through.",
    "olivine_retrain_last_success_timestamp_seconds": (
        "When a retraining last came to its end, by a decision of the gate or for want of new drives, since 1970."
    ),
}
"""What is pushed, as dashboards and alerts read it."""

_STEP_JOB, _RETRAIN_JOB = "olivine_step", "olivine_retrain"
_PUSHING_STEPS = tuple(word for word in WORDS if word != "pretrain")
_TIMEOUT_S = 5.0


def push_step(run: str, word: str, seconds: float, keyframes: int) -> None:
    """Push how long [s] the step `word` of a run took and on how many keyframes; steps of a loop replace each other."""
    if word in _PUSHING_STEPS:
        values = {"olivine_step_seconds": seconds, "olivine_step_keyframes": keyframes}
        _push(_STEP_JOB, {"run": run, "step": word}, values)


def push_retrained(store_url: str, now_s: float) -> None:
    """Push that a retraining on the drives of a store came to its end at `now_s` [s since 1970]."""
    _push(_RETRAIN_JOB, {"store": store_url}, {"olivine_retrain_last_success_timestamp_seconds": now_s})


def forget_run(run: str) -> None:
    """Delete what the steps of a run pushed."""

    def forget(client: Any, gateway: str) -> None:
        for word in _PUSHING_STEPS:
            client.delete_from_gateway(gateway, _STEP_JOB, {"run": run, "step": word}, _TIMEOUT_S)

    _call(forget)


def _push(job: str, key: Mapping[str, str], values: Mapping[str, float]) -> None:
    def push(client: Any, gateway: str) -> None:
        registry = client.CollectorRegistry()
        for name, value in values.items():
            client.Gauge(name, GAUGES[name], registry=registry).set(value)
        client.push_to_gateway(gateway, job, registry, dict(key), _TIMEOUT_S)

    _call(push)


def _call(action: Callable[[Any, str], None]) -> None:
    """Do something with the gateway, where there is one; what goes wrong is said, and no more."""
    gateway = os.environ.get(GATEWAY_VARIABLE)
    if not gateway:
        return
    try:
        import prometheus_client

        action(prometheus_client, gateway)
    except (ImportError, OSError, ValueError, HTTPException) as error:
        print(f"{GATEWAY_VARIABLE} {gateway}: {error}. The step goes on without it.", file=sys.stderr)
