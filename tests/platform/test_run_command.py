"""`olivine run`: its arguments become parameters of the pipeline, and its end is a table and a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_bench import Bench

from olivine.errors import DataError, UsageError
from olivine.platform import run_command
from olivine.platform.run_command import parse_seeds


def test_seeds() -> None:
    assert parse_seeds("") == []
    assert parse_seeds("0, 7,2") == [0, 7, 2]


@pytest.mark.parametrize("text", ["a", "1.5", "0,,1", "0,1,0"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--seeds {text}"):
        parse_seeds(text)


def test_options_that_are_not_given_are_left_to_the_pipeline_and_assignments_win(bench: Bench, tmp_path: Path) -> None:
    options = {"drives": "raw", "version": "", "store": bench.store, "recipe": "demo", "seeds": [], "settings": None}
    assignments = ["recipe=tiny_cpu", 'settings=["act=ingest:exit 65"]']
    with pytest.raises(DataError):
        run_command.run("full", options, assignments, tmp_path, 60.0)
    (call,) = bench.calls()
    assert call["parameters"]["recipe"] == "tiny_cpu"
    assert call["parameters"]["version"] == "v1.0-trainval"


def test_an_assignment_without_a_value_is_refused() -> None:
    with pytest.raises(UsageError, match="'recipe' gives no parameter: write -p name=value"):
        run_command.run("full", {}, ["recipe"], Path(), 60.0)


def test_the_end_is_the_score_of_each_arm_and_the_report(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"drives": "raw", "store": bench.store, "seeds": [4, 2]}
    out = bench.folder / "out"
    run_command.run("full", options, [], out, 60.0)
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "",
        "start        mIoU [%]  by seed",
        "backbone        28.00  27.00 29.00",
        "random          28.00  27.00 29.00",
        "",
        f"report: {out / 'report.html'}",
    ]
