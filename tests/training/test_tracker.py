"""Real TensorBoard files, a real MLflow database, a real scrape."""

from __future__ import annotations

import socket
import urllib.request
import warnings

import pytest

from olivine.errors import ConfigError
from olivine.store.store import Traffic
from olivine.training.execution import Execution
from olivine.training.tracker import StepFacts, open_trackers

NAMES = {"git": "abc", "image": "", "method": "olivine"}
FACTS = [StepFacts(step, 0, 0.1, {"loss": 2.0 - step, "category": 1.0}, 3.0, 4, 0.3, 0.1) for step in range(2)]
SKIPPED = StepFacts(2, 0, 0.1, {}, None, 4, 0.3, 0.1, skipped=True)
OVERFLOW = StepFacts(3, 0, 0.1, {"loss": 1.0}, None, 4, 0.3, 0.1, overflow=True)


def opened(execution, traffic=None, **place):
    return open_trackers(execution, "f" * 64, NAMES, traffic or Traffic(), **{"is_first": True, "on_node": 0} | place)


def test_off_by_default():
    assert opened(Execution()) == []
    assert opened(Execution(tracker="wandb", metrics_port=0), is_first=False, on_node=1) == []


def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ConfigError, match="the tracker needs wandb: pip install wandb"):
        opened(Execution(tracker="wandb"))


def test_tensorboard(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        (tracker,) = opened(Execution(tracker="tensorboard", tracker_folder=tmp_path))
        for facts in [*FACTS, SKIPPED]:
            tracker.step(facts)
        tracker.close()
        events = accumulator.EventAccumulator(str(tmp_path / ("f" * 12)))
        events.Reload()
    assert [(item.step, item.value) for item in events.Scalars("pretrain/loss")] == [(0, 2.0), (1, 1.0)]
    assert [item.value for item in events.Scalars("pretrain/grad_norm")] == [3.0, 3.0]


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match="--tracker mlflow needs MLFLOW_TRACKING_URI"):
        opened(Execution(tracker="mlflow"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tmp_path.as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (tracker,) = opened(Execution(tracker="mlflow"))
        for facts in [*FACTS, SKIPPED]:
            tracker.step(facts)
        tracker.close()
        client = mlflow.tracking.MlflowClient()
        (run,) = client.search_runs([client.get_experiment_by_name("olivine").experiment_id])
        losses = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((item.step, item.value) for item in losses) == [(0, 2.0), (1, 1.0)]
    assert run.data.tags["git"] == "abc"


def scrape(metrics):
    return urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=10).read().decode().splitlines()


def scraped(metrics):
    labels = f'{{node="{socket.gethostname()}",run_id="{"f" * 12}"}}'
    return {line.split("{")[0]: line.rsplit(" ", 1)[1] for line in scrape(metrics) if labels in line}


def test_prometheus():
    pytest.importorskip("prometheus_client")
    traffic = Traffic(read_bytes=10, written_bytes=5, requests=3)
    (metrics,) = opened(Execution(metrics_port=0), traffic)
    began = scraped(metrics)
    for facts in [*FACTS, SKIPPED, OVERFLOW]:
        metrics.step(facts)
    metrics.checkpoint(1.5, 1000)
    values, lines = scraped(metrics), scrape(metrics)
    metrics.close()
    wanted = {
        "olivine_train_loss": 1.0,
        "olivine_train_lr": 0.1,
        "olivine_train_grad_norm": 3.0,
        "olivine_train_samples_total": 16.0,
        "olivine_train_step": 4.0,
        "olivine_train_epoch": 0.0,
        "olivine_train_step_seconds_count": 4.0,
        "olivine_train_checkpoint_seconds": 1.5,
        "olivine_train_checkpoint_bytes": 1000.0,
        "olivine_train_skipped_steps_total": 1.0,
        "olivine_train_overflow_steps_total": 1.0,
        "olivine_store_requests_total": 3.0,
        "olivine_store_bytes_total": 15.0,
    }
    assert {name: float(values[name]) for name in wanted} == wanted
    assert float(values["olivine_train_data_wait_seconds_total"]) == pytest.approx(0.4)
    for name in ("step", "checkpoint"):
        # Before the first one it is the start, so that no alert counts from 1970.
        times = [float(at[f"olivine_train_last_{name}_timestamp_seconds"]) for at in (began, values)]
        assert 1.7e9 < times[0] < times[1]
    assert f'olivine_run_info{{git="abc",image="",run="{"f" * 12}"}} 1.0' in lines


def test_a_port_that_is_taken():
    pytest.importorskip("prometheus_client")
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--metrics-port {port}: .* Choose a port that is free"):
            opened(Execution(metrics_port=port))
