"""The receiver of store events: who may speak to it, what it takes for a complete drive, and one run for a burst."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from olivine import cli
from olivine.errors import ClusterError, ConfigError, UsageError
from olivine.platform.schedule import find_schedule
from olivine.platform.webhook import Debounce, Receiver, is_ready_event, start_when_due

TOKEN = "a-token-for-tests-only"
KEY = "/buckets/drives/prefix/registry/drives/drive-0007/_READY.json"
EVENT = {"event_type": "create", "key": KEY}


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def debounce(clock: Clock) -> Debounce:
    return Debounce(60.0, 600.0, clock)


@pytest.fixture
def receiver(debounce: Debounce) -> Iterator[Receiver]:
    made = Receiver("127.0.0.1", 0, TOKEN, debounce)
    yield made
    made.close()


def send(receiver: Receiver, body: bytes | None, method: str = "POST", path: str = "/", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=30)
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}"} | headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_complete_drive_makes_one_run_due(receiver: Receiver, debounce: Debounce, clock: Clock) -> None:
    assert send(receiver, json.dumps(EVENT).encode()) == 204
    assert not debounce.take()
    clock.now_s += 60
    assert debounce.take()
    assert not debounce.take(), "once"


def test_a_burst_is_one_run_and_cannot_put_it_off_for_ever(debounce: Debounce, clock: Clock) -> None:
    taken = 0
    for _ in range(30):
        debounce.note()
        clock.now_s += 30
        taken += debounce.take()
    # Every 30 s for 900 s: never quiet, so due after 600 s, and the rest when it has been quiet.
    assert taken == 1
    clock.now_s += 60
    assert debounce.take()


@pytest.mark.parametrize(
    ("event", "counts"),
    [
        (EVENT, True),
        (EVENT | {"event_type": "rename"}, True),
        (EVENT | {"event_type": "delete"}, False),
        (EVENT | {"key": "/buckets/drives/registry/drives/a/files/_READY.json"}, False),
        (EVENT | {"key": "/buckets/drives/registry/drives/a/_READY.json.part"}, False),
        (EVENT | {"key": "registry/drives/a/_READY.json"}, True),
        (EVENT | {"key": 7}, False),
        ([EVENT], False),
        (None, False),
    ],
)
def test_what_counts_as_a_complete_drive(event: Any, counts: bool) -> None:
    assert is_ready_event(event) == counts


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Authorization": "Bearer wrong"}, 401),
        (b"{}", {"Authorization": ""}, 401),
        (b"not json", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"", {"Content-Length": "2000000"}, 413),
        (b"", {"Content-Length": "-1"}, 411),
        (b'{"event_type": "create", "key": "other"}', {}, 204),
    ],
)
def test_what_is_refused_or_of_no_interest_starts_nothing(
    receiver: Receiver, debounce: Debounce, clock: Clock, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert send(receiver, body, **headers) == status
    clock.now_s += 10_000
    assert not debounce.take()


def test_health_is_told_to_anybody(receiver: Receiver) -> None:
    assert send(receiver, None, "GET", "/healthz", Authorization="") == 200
    assert send(receiver, None, "GET", "/secret") == 404


@pytest.mark.parametrize("token", ["", "short"])
def test_without_a_token_it_does_not_listen(debounce: Debounce, token: str) -> None:
    with pytest.raises(ConfigError, match="OLIVINE_WEBHOOK_TOKEN must hold a token of 16"):
        Receiver("127.0.0.1", 0, token, debounce)


def test_a_port_that_is_taken_is_named(receiver: Receiver, debounce: Debounce) -> None:
    with pytest.raises(ConfigError, match=f"port {receiver.port} of 127.0.0.1"):
        Receiver("127.0.0.1", receiver.port, TOKEN, debounce)


def test_a_server_that_is_away_costs_no_more_than_the_wait(debounce: Debounce, clock: Clock) -> None:
    said: list[str] = []

    def fail() -> str:
        raise ClusterError("KFP is away.")

    for submit in (fail, lambda: "run-1"):
        start_when_due(debounce, submit, said.append)
        debounce.note()
        clock.now_s += 60
        start_when_due(debounce, submit, said.append)
    assert said == [
        "no run started: KFP is away. The schedule comes anyway.",
        "run run-1 started: a drive is complete",
    ]


def write_schedules(folder: Path) -> Path:
    nightly = {"name": "nightly", "pipeline": "retrain_on_new_drives", "cron": "0 0 2 * * *"}
    path = folder / "schedules.yaml"
    path.write_text(yaml.safe_dump({"schedules": [nightly | {"parameters": {"store": "s3://bucket/prefix"}}]}))
    return path


def test_it_submits_what_the_schedule_would(tmp_path: Path) -> None:
    assert find_schedule(write_schedules(tmp_path), "nightly").parameters == {"store": "s3://bucket/prefix"}
    with pytest.raises(UsageError, match="has no schedule 'weekly': choose one of nightly"):
        find_schedule(write_schedules(tmp_path), "weekly")


def test_the_command_wants_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OLIVINE_WEBHOOK_TOKEN", raising=False)
    image = "registry.example/olivine@sha256:" + "0" * 64
    arguments = ["receive", str(write_schedules(tmp_path)), "nightly", "--host", "http://127.0.0.1:1", "--image", image]
    monkeypatch.setattr(sys, "argv", ["olivine", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == ConfigError.exit_code
    assert "OLIVINE_WEBHOOK_TOKEN" in capsys.readouterr().err
