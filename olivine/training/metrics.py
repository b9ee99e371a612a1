"""The Prometheus endpoint of a training: names that dashboards and alerts are written against."""

from __future__ import annotations

import socket
import time
from typing import Any

from olivine.errors import ConfigError
from olivine.store import Traffic
from olivine.training.tracker import StepFacts

_GAUGES = {
    "olivine_train_loss": "Weighted sum of the terms at the last step.",
    "olivine_train_lr": "Learning rate.",
    "olivine_train_grad_norm": "Norm of the gradients before clipping.",
    "olivine_train_step": "Optimiser steps done.",
    "olivine_train_epoch": "Epoch, from 0.",
    "olivine_train_last_step_timestamp_seconds": "When the last step ended, or the run began, since 1970.",
    "olivine_train_last_checkpoint_timestamp_seconds": "When the last checkpoint was whole, or the run began.",
    "olivine_train_checkpoint_seconds": "How long the last checkpoint took.",
    "olivine_train_checkpoint_bytes": "What this process wrote of the last checkpoint.",
}
_COUNTERS = {
    "olivine_train_samples": "Keyframes trained on by this run, over all processes.",
    "olivine_train_data_wait_seconds": "Time that the training waited for samples.",
    "olivine_train_skipped_steps": "Steps without effect, for a loss or gradient that was not finite.",
    "olivine_train_overflow_steps": "Steps left out for gradients beyond fp16, which halve the loss scale.",
    "olivine_store_requests": "Requests to the object store.",
    "olivine_store_bytes": "Bytes read from and written to the object store.",
}
"""The endpoint shows them with `_total`."""
_STEP_SECONDS, _RUN_INFO = "olivine_train_step_seconds", "olivine_run_info"
_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)


def series_names() -> frozenset[str]:
    """Names of all series that the endpoint shows, as dashboards and alerts read them."""
    histogram = (f"{_STEP_SECONDS}_{part}" for part in ("sum", "count", "bucket"))
    return frozenset({*_GAUGES, *(f"{name}_total" for name in _COUNTERS), *histogram, _RUN_INFO})


class Metrics:
    """A tracker that answers `GET /metrics` on `port`. Labels: run_id, node."""

    def __init__(self, port: int, run_id: str, names: dict[str, str], traffic: Traffic) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as error:
            raise ConfigError("--metrics-port needs prometheus-client: pip install 'olivine[train]'.") from error
        self._traffic, self._seen = traffic, (0, 0)
        registry = prometheus.CollectorRegistry()
        labels = {"run_id": run_id[:12], "node": socket.gethostname()}

        def make(kind: Any, name: str, text: str, **more: Any) -> Any:
            return kind(name, text, list(labels), registry=registry, **more).labels(**labels)

        self._gauges = {name: make(prometheus.Gauge, name, text) for name, text in _GAUGES.items()}
        self._counters = {name: make(prometheus.Counter, name, text) for name, text in _COUNTERS.items()}
        self._step_s = make(prometheus.Histogram, _STEP_SECONDS, "Time of a step, waiting included.", buckets=_BUCKETS)
        about = {"run": run_id[:12], "git": names.get("git", ""), "image": names.get("image", "")}
        info = prometheus.Gauge(_RUN_INFO, "Which run this is.", list(about), registry=registry)
        info.labels(**about).set(1)
        # From the start, or the age of what has not happened yet would count from 1970.
        for name in ("step", "checkpoint"):
            self._gauges[f"olivine_train_last_{name}_timestamp_seconds"].set_to_current_time()
        try:
            self._server, _ = prometheus.start_http_server(port, registry=registry)
        except OSError as error:
            raise ConfigError(f"--metrics-port {port}: {error.strerror}. Choose a port that is free.") from error

    @property
    def port(self) -> int:
        """The port that is listened on; another than asked for where that was 0."""
        return int(self._server.server_port)

    def step(self, facts: StepFacts) -> None:
        """Gauges, counters and the histogram of the step."""
        numbers = facts.numbers()
        values = {
            "loss": numbers.get("loss"),
            "lr": facts.lr,
            "grad_norm": numbers.get("grad_norm"),
            "step": facts.step + 1,
            "epoch": facts.epoch,
            "last_step_timestamp_seconds": time.time(),
        }
        for name, value in values.items():
            if value is not None:
                self._gauges[f"olivine_train_{name}"].set(value)
        self._counters["olivine_train_samples"].inc(facts.samples)
        self._counters["olivine_train_data_wait_seconds"].inc(facts.data_wait_s)
        self._counters["olivine_train_skipped_steps"].inc(facts.skipped)
        self._counters["olivine_train_overflow_steps"].inc(facts.overflow)
        self._step_s.observe(facts.step_s)
        now = self._traffic.requests, self._traffic.read_bytes + self._traffic.written_bytes
        for name, value, before in zip(("requests", "bytes"), now, self._seen, strict=True):
            self._counters[f"olivine_store_{name}"].inc(value - before)
        self._seen = now

    def checkpoint(self, seconds: float, size_bytes: int) -> None:
        """Time and size of a checkpoint."""
        self._gauges["olivine_train_checkpoint_seconds"].set(seconds)
        self._gauges["olivine_train_checkpoint_bytes"].set(size_bytes)
        self._gauges["olivine_train_last_checkpoint_timestamp_seconds"].set_to_current_time()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
