"""What a user sees of a run: lines where there is no terminal, bars where there is one."""

from __future__ import annotations

import json
import re
import sys

import pytest

from olivine.platform.display import Display
from olivine.platform.result import StepResult

PROGRESS = {"work": "finetune", "done": 3, "total": 9, "unit": "steps", "per_s": 2.5, "remaining_s": 2.4}
STEP = StepResult("finetune", "backbone", 1, 0, 12.34, found=True)


def test_without_a_terminal_lines_pass_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.start(STEP.label)
        display.line(STEP.label, json.dumps(PROGRESS))
        display.line(STEP.label, "[bold]text[/bold]")
        display.fail(STEP.label, "the store failed.", again=True)
        display.end(STEP)
        display.fail("report", "the reason", again=False)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "finetune from backbone, seed 1     found     12.3 s",
        "report                             failed",
    ]
    assert shown.err.splitlines() == [
        f"[finetune from backbone, seed 1] {json.dumps(PROGRESS)}",
        "[finetune from backbone, seed 1] [bold]text[/bold]",
        "[finetune from backbone, seed 1] the store failed. Trying again.",
    ]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: self is sys.stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_progress_is_a_bar_and_other_lines_stay(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.start(STEP.label)
        display.line(STEP.label, json.dumps(PROGRESS))
        display._bars.refresh()
        display.line(STEP.label, "[bold]text[/bold]")
        display.end(STEP)
    shown = capsys.readouterr()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.err)
    assert re.search(r"finetune from backbone, seed 1: finetune .* 3/9 .* 2\.5 steps/s 2 s left", plain)
    assert "[finetune from backbone, seed 1] [bold]text[/bold]" in plain
    assert "per_s" not in plain
    assert shown.out == "finetune from backbone, seed 1     found     12.3 s\n"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    "text",
    [
        '{"work": 1',
        '{"work": "x"}',
        '{"work": "x", "done": "1", "total": 2, "per_s": 1, "unit": "u"}',
        '{"work": "x", "done": 1, "total": 2, "per_s": 1}',
    ],
)
def test_what_only_looks_like_progress_is_a_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.start("ingest")
        display.line("ingest", text)
    assert text in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
