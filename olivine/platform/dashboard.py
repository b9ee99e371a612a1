"""The Grafana dashboard of a training, as JSON: `python -m olivine.platform.dashboard > k8s/monitoring/dashboard.json`.

Every query is checked (tests/k8s) to read metrics that the trainer has, or that the rules record.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from olivine.platform.push import GAUGES
from olivine.training.metrics import series_names

TRAINER_METRICS = series_names()
"""What the trainer exposes; a histogram counts as its three series."""

RECORDED = frozenset({"olivine:samples_per_second", "olivine:data_wait_share"})
"""What k8s/monitoring/rules.yaml records."""

PUSHED_METRICS = frozenset(GAUGES)
"""What steps push to a gateway, where one is configured."""

DCGM_METRICS = frozenset({"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_XID_ERRORS"})
"""What NVIDIA's exporter exposes, where it is installed."""

_RUN = 'run_id=~"$run"'
_PANELS = (
    ("Loss", "short", f"max by (run_id) (olivine_train_loss{{{_RUN}}})"),
    ("Samples a second", "short", f"olivine:samples_per_second{{{_RUN}}}"),
    ("Step", "short", f"max by (run_id) (olivine_train_step{{{_RUN}}})"),
    (
        "Seconds since the last step",
        "s",
        f"time() - max by (run_id) (olivine_train_last_step_timestamp_seconds{{{_RUN}}})",
    ),
    (
        "Step time, 95 %",
        "s",
        f"histogram_quantile(0.95, sum by (le, run_id) (rate(olivine_train_step_seconds_bucket{{{_RUN}}}[5m])))",
    ),
    ("Share of time waiting for data", "percentunit", f"olivine:data_wait_share{{{_RUN}}}"),
    ("Learning rate", "short", f"max by (run_id) (olivine_train_lr{{{_RUN}}})"),
    ("Gradient norm", "short", f"max by (run_id) (olivine_train_grad_norm{{{_RUN}}})"),
    ("Steps skipped", "short", f"sum by (run_id) (increase(olivine_train_skipped_steps_total{{{_RUN}}}[15m]))"),
    ("Checkpoint time", "s", f"max by (run_id) (olivine_train_checkpoint_seconds{{{_RUN}}})"),
    (
        "Seconds since the last checkpoint",
        "s",
        f"time() - max by (run_id) (olivine_train_last_checkpoint_timestamp_seconds{{{_RUN}}})",
    ),
    (
        "Seconds since the last retraining that came to its end",
        "s",
        "time() - max by (store) (olivine_retrain_last_success_timestamp_seconds)",
    ),
    ("GPU utilisation", "percent", "avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL)"),
    ("GPU memory", "mbytes", "max by (Hostname, gpu) (DCGM_FI_DEV_FB_USED)"),
)
_WIDTH, _HEIGHT = 12, 8


def build_dashboard() -> dict[str, Any]:
    """The dashboard: two panels a row, for the runs that are chosen above them."""
    run = {"name": "run", "type": "query", "multi": True, "includeAll": True, "refresh": 2}
    run |= {"datasource": {"type": "prometheus", "uid": "${datasource}"}}
    run |= {"query": "label_values(olivine_train_step, run_id)"}
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "olivine-train",
        "title": "olivine: training",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, run]},
        "panels": [_panel(number, *panel) for number, panel in enumerate(_PANELS)],
    }


def _panel(number: int, title: str, unit: str, query: str) -> dict[str, Any]:
    place = {"x": _WIDTH * (number % 2), "y": _HEIGHT * (number // 2), "w": _WIDTH, "h": _HEIGHT}
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [{"refId": "A", "expr": query}],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(build_dashboard(), indent=1) + "\n")
