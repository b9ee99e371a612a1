from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chain import command_line, worker_environment
from comparison import Compared

from olivine.errors import UsageError
from olivine.report.command import run_report_executor
from olivine.report.summary import summarise


def executor_input(compared: Compared, out: Path, **changes: Any) -> str:
    ids = {arm: [compared.metrics[arm, seed].id for seed in (0, 1)] for arm in ("random", "olivine")}
    parameters = {
        "store": str(compared.folder),
        "title": "From a pipeline",
        "metrics_ids": ids["olivine"],
        "baseline_ids": ids["random"],
    }
    page = {"name": "report", "uri": str(out / "report"), "type": {"schemaTitle": "system.HTML"}}
    return json.dumps(
        {
            "inputs": {"parameterValues": {k: v for k, v in (parameters | changes).items() if v is not None}},
            "outputs": {"outputFile": str(out / "output.json"), "artifacts": {"report": {"artifacts": [page]}}},
        }
    )


def test_the_command_prints_the_table_and_the_path(compared: Compared, tmp_path: Path):
    out = tmp_path / "report.html"
    options = [part for artifact in compared.all for part in ("--metrics", artifact.id[:10])]
    ended = command_line("report", *options, "--store", str(compared.folder), "--out", str(out), "--title", "By hand")
    assert ended.returncode == 0, ended.stderr
    assert "SIMULATED weak labels" in ended.stdout
    assert "claims nothing" in ended.stdout
    assert ended.stdout.splitlines()[-1] == str(out)
    assert "<title>By hand</title>" in out.read_text()


def test_a_call_without_metrics_says_what_to_give(compared: Compared):
    ended = command_line("report", "--store", str(compared.folder))
    assert ended.returncode == UsageError.exit_code
    assert "--metrics" in ended.stderr


def test_a_step_writes_page_and_metadata(compared: Compared, tmp_path: Path):
    run_report_executor(executor_input(compared, tmp_path))
    assert "<title>From a pipeline</title>" in (tmp_path / "report").read_text()
    [artifact] = json.loads((tmp_path / "output.json").read_text())["artifacts"]["report"]["artifacts"]
    summary = summarise(compared.store, compared.all)
    assert artifact["uri"] == str(tmp_path / "report")
    assert artifact["metadata"] == {
        "miou_random": summary["arms"]["random"]["miou"],
        "miou_olivine": summary["arms"]["olivine"]["miou"],
        "paired_gain": summary["paired_gain"]["mean"],
        "num_seeds": 2,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": None}, "'store' is None"),
        ({"title": 3}, "'title' is 3"),
        ({"metrics_ids": "abc"}, "'metrics_ids' is 'abc'"),
        ({"metrics_ids": [1]}, "must be a list of ids"),
        ({"colour": "red"}, "no parameter colour"),
        ({"metrics_ids": [], "baseline_ids": None}, "needs metrics"),
    ],
)
def test_a_wrong_parameter_is_named(compared: Compared, tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        run_report_executor(executor_input(compared, tmp_path, **changes))
    assert not (tmp_path / "report").exists()


def test_the_report_needs_no_torch():
    code = "import sys, olivine.report.command; sys.exit(any(m in sys.modules for m in ('torch', 'kfp', 'matplotlib')))"
    subprocess.run([sys.executable, "-c", code], check=True, env=worker_environment())
