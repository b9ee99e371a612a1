"""What short steps push, into a real Pushgateway; and that a step goes on when there is none, or it is away."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from olivine.artifacts import Output, begin
from olivine.platform import executor
from olivine.platform.close_step import run_close_executor
from olivine.platform.dashboard import PUSHED_METRICS
from olivine.platform.executor import run_executor
from olivine.platform.push import forget_run, push_retrained, push_step
from olivine.platform.retrain_steps import run_plan_executor
from olivine.store import open_store


@pytest.fixture(scope="module")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("prometheus-pushgateway")
    if program is None:
        reason = "no Pushgateway: install the Debian package prometheus-pushgateway"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with (tmp_path_factory.mktemp("pushgateway") / "log").open("wb") as log:
        server = subprocess.Popen([program, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def gateway(gateway_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OLIVINE_PUSHGATEWAY", gateway_url)
    return gateway_url


def pushed(gateway: str, **labels: str) -> dict[str, float]:
    """What the gateway shows of ours under some labels, as Prometheus would read it."""
    text = urllib.request.urlopen(f"http://{gateway}/metrics", timeout=10).read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    ours = [sample for sample in samples if sample.name.startswith("olivine_")]
    return {sample.name: sample.value for sample in ours if labels.items() <= sample.labels.items()}


def given(folder: Path, outputs: tuple[str, ...], **parameters: Any) -> str:
    artifacts = {name: {"artifacts": [{"name": name, "uri": str(folder / name)}]} for name in outputs}
    where = {"outputFile": str(folder / "out.json"), "artifacts": artifacts}
    return json.dumps({"inputs": {"parameterValues": parameters}, "outputs": where})


def test_a_step_pushes_its_figures_and_the_end_of_the_run_deletes_them(
    gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = begin(open_store(str(tmp_path / "store")), "weigh", "density_weights", {}, {}, 0)
    assert isinstance(out, Output)
    out.put("data.bin", b"weights")
    made = out.publish({"keyframes": 7}, {}, ("test data",))
    monkeypatch.setattr(executor, "run_stage", lambda word, text: made)
    for run in ("run-1", "run-2"):
        monkeypatch.setenv("OLIVINE_RUN", run)
        run_executor("weigh", given(tmp_path, (), store=str(tmp_path / "store"), recipe="tiny_cpu"))
    shown = pushed(gateway, job="olivine_step", run="run-1", step="weigh")
    assert shown["olivine_step_keyframes"] == 7
    assert 0 <= shown["olivine_step_seconds"] < 60
    state = {"state": "SUCCEEDED", "error": {}}
    run_close_executor(given(tmp_path, ("summary",), store=str(tmp_path / "store"), run="run-1", status=state))
    assert pushed(gateway, run="run-1") == {}
    assert pushed(gateway, run="run-2")["olivine_step_keyframes"] == 7


def test_a_retraining_without_new_drives_has_come_to_its_end(gateway: str, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    parameters = {"store": store.url, "version": "v1.0-mini", "recipe": "tiny_cpu", "settings": [], "min_new": 1}
    parameters |= {"only": [], "claim_hours": 1.0, "warm_start": True, "run": "run-3"}
    before = time.time()
    assert run_plan_executor(given(tmp_path, ("planned",), **parameters)).plan is None
    when = pushed(gateway, job="olivine_retrain", store=store.url)["olivine_retrain_last_success_timestamp_seconds"]
    assert before - 1 <= when <= time.time() + 1


def test_what_dashboards_may_read_is_what_is_pushed(gateway: str) -> None:
    push_step("run-4", "label", 1.0, 2)
    push_retrained("s3://bucket/prefix", 1.8e9)
    assert pushed(gateway).keys() >= PUSHED_METRICS
    assert pushed(gateway, store="s3://bucket/prefix")["olivine_retrain_last_success_timestamp_seconds"] == 1.8e9


def test_a_training_has_an_endpoint_and_pushes_nothing(gateway: str) -> None:
    push_step("run-5", "pretrain", 1.0, 2)
    assert pushed(gateway, run="run-5") == {}


def test_a_gateway_that_is_away_fails_no_step(
    free_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLIVINE_PUSHGATEWAY", f"127.0.0.1:{free_port}")
    push_step("run-6", "label", 1.0, 2)
    said = capsys.readouterr().err
    assert said.startswith(f"OLIVINE_PUSHGATEWAY 127.0.0.1:{free_port}: ")
    assert said.endswith("The step goes on without it.\n")


def test_what_is_no_gateway_fails_no_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def answer() -> None:
        for _ in range(2):
            with listener.accept()[0] as call:
                call.recv(65536)
                call.sendall(b"SSH-2.0-x\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setenv("OLIVINE_PUSHGATEWAY", address)
        push_step("run-8", "label", 1.0, 2)
        forget_run("run-8")
    said = capsys.readouterr().err
    assert said.count(f"OLIVINE_PUSHGATEWAY {address}: SSH-2.0-x") == said.count("goes on without it.\n") == 2


def test_an_address_that_is_none_fails_no_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLIVINE_PUSHGATEWAY", "host with space:9091")
    push_step("run-9", "label", 1.0, 2)
    assert "can't contain control characters" in capsys.readouterr().err


def test_without_a_gateway_nothing_is_pushed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OLIVINE_PUSHGATEWAY", raising=False)
    push_step("run-7", "label", 1.0, 2)
    assert capsys.readouterr() == ("", "")
