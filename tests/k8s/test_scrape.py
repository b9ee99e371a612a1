"""A real Prometheus scrapes a real training and evaluates the rules of the repository over it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chain import Chain, worker_environment

from olivine.platform.dashboard import TRAINER_METRICS

RULES = Path(__file__).resolve().parents[2] / "k8s" / "monitoring" / "rules.yaml"
PATIENCE_S = 200.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def training(own_chain: Chain, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A training that goes on until it is stopped, and the port of its metrics."""
    port, made = free_port(), own_chain.made
    command = [sys.executable, "-m", "olivine", "pretrain", "--store", own_chain.store.url, "--recipe", "tiny_cpu"]
    command += ["--drives", made["ingest"].id, "--weak-labels", made["label"].id]
    command += ["--density-weights", made["weigh"].id, "--set", "pretrain.epochs=100000"]
    command += ["--set", "pretrain.checkpoint_every=3", "--metrics-port", str(port)]
    with (tmp_path / "training.log").open("wb") as log:
        process = subprocess.Popen(command, env=worker_environment(), stdout=log, stderr=log)
    try:
        yield port, process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def prometheus(training: tuple[int, subprocess.Popen[bytes]], tmp_path: Path) -> Iterator[Callable[[str], list[Any]]]:
    """Ask a Prometheus that scrapes the training: the result of a query."""
    program = shutil.which("prometheus")
    if program is None:
        reason = "no prometheus: install the Debian package prometheus"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    groups = yaml.safe_load(RULES.read_text())["spec"]["groups"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": "olivine", "static_configs": [{"targets": [f"127.0.0.1:{training[0]}"]}]},
        ],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [program, f"--config.file={tmp_path / 'prometheus.yaml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)

    def ask(query: str) -> list[Any]:
        url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])

    try:
        yield ask
    finally:
        server.kill()
        server.wait()


@pytest.mark.timeout(600)
def test_prometheus_sees_every_metric_of_a_training(
    training: tuple[int, subprocess.Popen[bytes]], prometheus: Callable[[str], list[Any]], tmp_path: Path
) -> None:
    process = training[1]

    def wait_for(query: str) -> list[Any]:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if found := prometheus(query):
                    return found
            except OSError:
                pass
            time.sleep(0.2)
        pytest.fail(f"{query}: no result\n{(tmp_path / 'training.log').read_text()[-2000:]}")

    (step,) = wait_for("olivine_train_step > 3 and olivine_train_checkpoint_bytes > 0")
    assert step["metric"]["node"] == socket.gethostname()
    assert len(step["metric"]["run_id"]) == 12
    assert wait_for('up{job="olivine"}')[0]["value"][1] == "1"
    series = {item["metric"]["__name__"] for item in prometheus('{job="olivine",__name__=~"olivine_.+"}')}
    # The client adds when each counter and histogram was made.
    assert {name for name in series if not name.endswith("_created")} == TRAINER_METRICS
    (rate,) = wait_for("olivine:samples_per_second > 0")
    assert rate["metric"]["run_id"] == step["metric"]["run_id"]
    (share,) = wait_for("olivine:data_wait_share >= 0")
    assert 0 <= float(share["value"][1]) <= 1
    assert prometheus('ALERTS{alertstate="firing"}') == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM
