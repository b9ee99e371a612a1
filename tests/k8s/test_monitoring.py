"""Rules by Prometheus' own test tool, and a dashboard that asks for nothing that is not there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from olivine.platform.dashboard import DCGM_METRICS, PUSHED_METRICS, RECORDED, TRAINER_METRICS, build_dashboard

MONITORING = Path(__file__).resolve().parents[2] / "k8s" / "monitoring"
CASES = ("rules.test.yaml", "retrain.test.yaml")
METRIC = re.compile(r"\b(?:olivine_\w+|olivine:\w+|DCGM_\w+)")


def groups() -> list[dict[str, Any]]:
    return yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]["groups"]


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        reason = "no promtool: install the Debian package prometheus"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The rules as Prometheus reads them, which the operator would take out of the manifest."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))
    for name in CASES:
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    return tmp_path


def test_prometheus_accepts_the_rules(folder: Path) -> None:
    done = promtool("check", "rules", "--lint-fatal", "rules.yaml", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(folder: Path) -> None:
    done = promtool("test", "rules", *CASES, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested(folder: Path) -> None:
    alerts = {rule["alert"] for group in groups() for rule in group["rules"] if "alert" in rule}
    tested = {
        case["alertname"]
        for name in CASES
        for test in yaml.safe_load((folder / name).read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert tested == alerts


def test_every_alert_says_what_to_do() -> None:
    for group in groups():
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"].keys() == {"summary", "action"}
                assert rule["labels"]["severity"] in ("warning", "critical")


def test_rules_and_panels_read_what_there_is() -> None:
    recorded = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}
    assert recorded == RECORDED
    queries = [rule["expr"] for group in groups() for rule in group["rules"]]
    queries += [target["expr"] for panel in build_dashboard()["panels"] for target in panel["targets"]]
    used = {name for query in queries for name in METRIC.findall(query)}
    assert used <= TRAINER_METRICS | PUSHED_METRICS | RECORDED | DCGM_METRICS
    assert len(used) > 10


def test_the_dashboard_in_the_repository_is_current() -> None:
    assert json.loads((MONITORING / "dashboard.json").read_text()) == build_dashboard()


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in build_dashboard()["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
