"""Progress: JSON lines where nobody watches, a bar where somebody does."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from olivine import progress
from olivine.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    moved = Clock()
    monkeypatch.setattr(progress, "time", moved)
    return moved


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_every_few_seconds_and_one_at_the_end(clock, capsys):
    with Progress("ingest", 10, "keyframes") as shown:
        for _ in range(10):
            clock.now += 2
            shown.advance()
    found = lines(capsys)
    assert [line["done"] for line in found] == [3, 6, 9, 10]
    assert found[0] == {
        "work": "ingest",
        "done": 3,
        "total": 10,
        "unit": "keyframes",
        "per_s": 0.5,
        "remaining_s": 14.0,
    }


def test_what_was_skipped_says_nothing_about_the_rate(clock, capsys):
    with Progress("pretrain", 100, "steps") as shown:
        shown.skip(90)
        clock.now += 10
        shown.advance(5, loss=0.25)
    assert lines(capsys) == [
        {
            "work": "pretrain",
            "done": 95,
            "total": 100,
            "unit": "steps",
            "per_s": 0.5,
            "remaining_s": 10.0,
            "loss": 0.25,
        },
        {"work": "pretrain", "done": 95, "total": 100, "unit": "steps", "per_s": 0.5, "remaining_s": 10.0},
    ]


def test_nothing_done_has_no_remaining_time(clock, capsys):
    with Progress("label", 3, "keyframes") as shown:
        shown.skip(3)
    assert lines(capsys)[0]["remaining_s"] is None


def test_an_error_leaves_the_last_word_to_its_message(clock, capsys):
    with pytest.raises(KeyError), Progress("label", 3, "keyframes"):
        raise KeyError
    assert lines(capsys) == []


def test_a_terminal_gets_a_bar_with_rate_and_remaining_time():
    code = (
        "from olivine.progress import Progress\n"
        "with Progress('pretrain', 3, 'steps') as shown:\n"
        "    shown.skip(1)\n"
        "    shown.advance(2, loss=0.25)\n"
    )
    main, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(main, 4096):
            shown += chunk
    except OSError:  # The terminal's other end was closed.
        pass
    os.close(main)
    assert process.wait() == 0
    assert b"pretrain" in shown
    assert b"3/3" in shown
    assert b"steps/s loss 0.25" in shown
    assert b"{" not in shown
