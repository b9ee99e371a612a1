from __future__ import annotations

import io
from typing import Any

import pytest
from comparison import make_summary
from rich.console import Console

from olivine.nuscenes_categories import CATEGORY_NAMES
from olivine.report.table import CLAIMS_NOTHING, gain_lines, percent, points, print_table


def print_to_text(summary: dict[str, Any], *notes: str) -> str:
    written = io.StringIO()
    print_table(summary, Console(width=120, file=written), notes)
    return written.getvalue()


def row_of(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if name in line)
    return [cell.strip() for cell in line.strip("│ ").split("│")]


def test_both_arms_are_shown_with_every_seed():
    text = print_to_text(make_summary())
    assert row_of(text, "random  ") == ["random", "31.00", "30.00", "31.00", "32.00"]
    assert row_of(text, "olivine  ") == ["olivine", "33.00", "30.00", "31.00", "32.00"]


def test_every_class_is_shown_with_its_difference():
    text = print_to_text(make_summary())
    assert row_of(text, "car  ") == ["car", "25.00", "50.00", "+25.00"]
    assert row_of(text, "bus  ") == ["bus", "-", "25.00", "-"]
    assert all(name in text for name in CATEGORY_NAMES)


def test_few_seeds_claim_nothing():
    assert gain_lines(make_summary(4))[-1] == CLAIMS_NOTHING
    assert CLAIMS_NOTHING not in gain_lines(make_summary(5))
    assert (
        "+2.00 points of mIoU, 95 % interval -1.00 to +5.00 (Student t, 5 paired seeds)"
        in gain_lines(make_summary(5))[0]
    )


def test_one_seed_says_that_it_has_no_interval():
    assert "(1 paired seed: no interval)" in gain_lines(make_summary(1))[0]


def test_simulated_labels_are_said_loudly_with_their_accuracy():
    assert "Weak labels: SIMULATED; accuracy 73.10 %" in print_to_text(make_summary())


def test_notes_take_the_place_of_the_labels():
    text = print_to_text(make_summary(), "[bold]SYNTHETIC[/bold]", "Image encoder: mobilesam")
    assert "[bold]SYNTHETIC[/bold]" in text, "notes are text, not markup"
    assert "Image encoder: mobilesam" in text


def test_one_arm_has_neither_gain_nor_difference():
    summary = make_summary(labels={"kind": None, "accuracy": None, "coverage": None})
    summary |= {"arms": {"random": summary["arms"]["random"]}, "paired_gain": {"mean": None, "interval": None}}
    text = print_to_text(summary)
    assert "difference" not in text
    assert "gain" not in text
    assert "Weak labels" not in text


@pytest.mark.parametrize(("share", "as_percent", "as_points"), [(0.12345, "12.35", "+12.35"), (None, "-", "-")])
def test_numbers(share: float | None, as_percent: str, as_points: str):
    assert percent(share) == as_percent
    assert points(share) == as_points
