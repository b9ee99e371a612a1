"""Runs and schedules on a KFP server, by the real client over real HTTP."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("kfp", reason="no kfp: the extra olivine[pipeline] is not installed")

from fake_kfp import FakeKfp

from olivine import cli
from olivine.errors import UsageError
from olivine.platform.schedule import read_schedules

IMAGE = "registry.example/olivine@sha256:" + "0" * 64
NIGHTLY = {
    "name": "nightly",
    "pipeline": "retrain_on_new_drives",
    "cron": "0 0 2 * * *",
    "parameters": {"store": "s3://bucket/prefix", "min_new": 5},
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKfp]:
    # The client keeps its context in the home directory.
    monkeypatch.setenv("HOME", str(tmp_path))
    fake = FakeKfp()
    fake.url = fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def olivine(
    fake: FakeKfp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["olivine", *map(str, arguments), "--host", fake.url])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture
def schedules(tmp_path: Path) -> Callable[..., Path]:
    def write(*entries: dict[str, Any]) -> Path:
        path = tmp_path / "schedules.yaml"
        path.write_text(yaml.safe_dump({"schedules": list(entries)}))
        return path

    return write


def test_a_run_is_submitted_as_the_pipeline_was_compiled(olivine, fake: FakeKfp, monkeypatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", "a-token")
    given = ["-p", "store=s3://bucket/prefix", "-p", "drives=/data", "-p", "seeds=1,2", "-p", "num_nodes=4"]
    code, out, err = olivine("submit", "full", "--image", IMAGE, *given)
    assert (code, err) == (0, "")
    (run,) = fake.things["runs"]
    assert out.strip() == run["run_id"]
    assert run["runtime_config"]["parameters"] == {
        "store": "s3://bucket/prefix",
        "drives": "/data",
        "seeds": [1, 2],
        "num_nodes": 4,
    }
    spec = run["pipeline_spec"]["pipeline_spec"]
    images = {entry["container"]["image"] for entry in spec["deploymentSpec"]["executors"].values()}
    assert images == {IMAGE}
    assert "platforms" in run["pipeline_spec"]["platform_spec"]
    assert fake.tokens == {"Bearer a-token"}
    (experiment,) = fake.things["experiments"]
    assert (experiment["display_name"], run["experiment_id"]) == ("olivine", experiment["experiment_id"])


def test_wrong_calls_send_nothing(olivine, fake: FakeKfp) -> None:
    for arguments, said in [
        (["full", "--image", "olivine:1", "-p", "store=x", "-p", "drives=y"], "names no image by digest"),
        (["full", "--image", IMAGE, "-p", "store=x"], "needs drives"),
        (["full", "--image", IMAGE, "-p", "nonsense=x"], "has no parameter 'nonsense'"),
        (["nothing", "--image", IMAGE], "there is no pipeline 'nothing'"),
    ]:
        code, _, err = olivine("submit", *arguments)
        assert code == 64
        assert said in err
    assert not any(line.startswith("POST") for line in fake.requests)


def test_runs_are_listed(olivine, fake: FakeKfp) -> None:
    for name in ("first", "second"):
        olivine("submit", "relabel", "--image", IMAGE, "-p", "store=s", "-p", "drives_id=d", "--name", name)
    code, out, _ = olivine("runs")
    assert code == 0
    assert [line.split()[1:] for line in out.splitlines()] == [
        ["2026-11-25", "02:00", "PENDING", "second"],
        ["2026-11-25", "02:00", "PENDING", "first"],
    ]


def test_a_schedule_is_made_once(olivine, fake: FakeKfp, schedules) -> None:
    path = schedules(NIGHTLY)
    assert olivine("schedule", "apply", path, "--image", IMAGE, "--dry-run")[1] == "create   nightly\n"
    assert fake.things["recurringruns"] == []
    assert olivine("schedule", "apply", path, "--image", IMAGE)[:2] == (0, "create   nightly\n")
    (made,) = fake.things["recurringruns"]
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 2 * * *"
    assert made["no_catchup"] is True, "what was missed is not made up for"
    assert made["max_concurrency"] == "1" or made["max_concurrency"] == 1
    assert made["mode"] == "ENABLE"
    tasks = made["pipeline_spec"]["pipeline_spec"]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert "cachingOptions" not in tasks["plan"] or not tasks["plan"]["cachingOptions"].get("enableCache")
    posts = sum(line.startswith("POST") for line in fake.requests)
    assert olivine("schedule", "apply", path, "--image", IMAGE)[1] == "keep     nightly\n"
    assert sum(line.startswith("POST") for line in fake.requests) == posts


@pytest.mark.parametrize(
    "change", [{"cron": "0 0 3 * * *"}, {"parameters": {"store": "s3://other/prefix"}}, {"enabled": False}], ids=str
)
def test_what_changed_is_made_anew(olivine, fake: FakeKfp, schedules, change: dict[str, Any]) -> None:
    olivine("schedule", "apply", schedules(NIGHTLY), "--image", IMAGE)
    (before,) = fake.things["recurringruns"]
    assert olivine("schedule", "apply", schedules(NIGHTLY | change), "--image", IMAGE)[1] == "replace  nightly\n"
    (after,) = fake.things["recurringruns"]
    assert after["recurring_run_id"] != before["recurring_run_id"]


def test_another_image_makes_it_anew(olivine, fake: FakeKfp, schedules) -> None:
    olivine("schedule", "apply", schedules(NIGHTLY), "--image", IMAGE)
    assert olivine("schedule", "apply", schedules(NIGHTLY), "--image", IMAGE[:-1] + "1")[1] == "replace  nightly\n"


def test_somebody_who_disabled_it_in_the_ui_is_overruled(olivine, fake: FakeKfp, schedules) -> None:
    olivine("schedule", "apply", schedules(NIGHTLY), "--image", IMAGE)
    fake.things["recurringruns"][0]["status"] = "DISABLED"
    assert olivine("schedule", "apply", schedules(NIGHTLY), "--image", IMAGE)[1] == "replace  nightly\n"


def test_what_left_the_file_is_deleted_and_others_stay(olivine, fake: FakeKfp, schedules) -> None:
    fake.page_size = 2
    olivine("schedule", "apply", schedules(NIGHTLY, NIGHTLY | {"name": "weekly"}), "--image", IMAGE)
    for number in range(4):
        fake.things["recurringruns"].append(
            {"recurring_run_id": f"x{number}", "display_name": f"of-others-{number}", "description": "mine"}
        )
    path = schedules(NIGHTLY)
    assert olivine("schedule", "apply", path, "--image", IMAGE)[1] == "keep     nightly\ndelete   weekly\n"
    names = sorted(item["display_name"] for item in fake.things["recurringruns"])
    assert names == ["nightly", *(f"of-others-{number}" for number in range(4))]
    lines = olivine("schedule", "list")[1].splitlines()
    assert len(lines) == 5
    assert "0 0 2 * * *" in lines[0]


def test_a_name_of_others_is_not_taken(olivine, fake: FakeKfp, schedules) -> None:
    fake.things["recurringruns"].append({"recurring_run_id": "x", "display_name": "nightly", "description": "mine"})
    code, _, err = olivine("schedule", "apply", schedules(NIGHTLY), "--image", IMAGE)
    assert code == 64
    assert "did not make" in err
    assert len(fake.things["recurringruns"]) == 1


def test_all_is_checked_before_anything_is_changed(olivine, fake: FakeKfp, schedules) -> None:
    wrong = NIGHTLY | {"name": "wrong", "parameters": {"nonsense": 1}}
    assert olivine("schedule", "apply", schedules(NIGHTLY, wrong), "--image", IMAGE)[0] == 64
    assert fake.things["recurringruns"] == []


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(401, 78, "KFP_TOKEN"), (403, 78, "--namespace"), (400, 64, "refuses it"), (503, 75, "Try again")],
)
def test_faults_of_the_server(olivine, fake: FakeKfp, status: int, code: int, said: str) -> None:
    fake.fail = [status] * 10
    ended, _, err = olivine("runs")
    assert ended == code
    assert said in err


def test_a_server_that_is_away(olivine, fake: FakeKfp) -> None:
    fake.stop()
    code, _, err = olivine("runs")
    assert code == 75
    assert "port-forward" in err


def test_the_schedule_of_the_documents_is_one(olivine, fake: FakeKfp, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "uses.md").read_text()
    path = tmp_path / "schedules.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    assert olivine("schedule", "apply", path, "--image", IMAGE)[:2] == (0, "create   nightly\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schedules: [{name: a, pipeline: full, cron: '0 2 * * *'}]", "six fields"),
        ("schedules: [{name: A B, pipeline: full, cron: '@daily'}]", "name"),
        ("schedules: [{name: a, pipeline: full, cron: '@daily', extra: 1}]", "extra"),
        ("schedules: [{name: a, pipeline: f, cron: '@daily'}, {name: a, pipeline: f, cron: '@daily'}]", "comes twice"),
        ("- 1", "valid dictionary"),
        ("a: [", "not YAML"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_schedules(path)
