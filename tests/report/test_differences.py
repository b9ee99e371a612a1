"""What a table shows of a fact that arms differ in."""

from __future__ import annotations

import pytest

from olivine.report.differences import Difference


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        (([0.1], [1 / 3]), ["0.1", "0.333333"]),
        ((["cartesian"], []), ["cartesian", "none"]),
        (([None], [True]), ["-", "true"]),
        (([0, 1], [0]), ["0, 1", "0"]),
        (([[0.1, 0.2]], [[0.4, 0.4]]), ["[0.1, 0.2]", "[0.4, 0.4]"]),
        (([["a", "b", "c"]], [["b"]]), ["3, not in all: a, c", "1"]),
        (([["a"]], [["a"]]), ["1", "1"]),
        (([["a"]], []), ["1", "none"]),
        (([["a"]], [None]), ["1", "-"]),
        ((["x" * 200], ["y"]), ["x" * 87 + "...", "y"]),
    ],
)
def test_cells_are_short_and_name_what_is_not_everywhere(values: tuple[list[object], ...], cells: list[str]) -> None:
    assert Difference("name", (), values).cells == cells


def test_of_many_names_the_first_are_told() -> None:
    names = [f"scene-{number}" for number in range(9)]
    assert Difference("scenes", (), ([names], [["other"]])).cells == [
        f"9, not in all: {', '.join(names[:6])} and 3 more",
        "1, not in all: other",
    ]


def test_json_keeps_the_values_by_arm() -> None:
    found = Difference("lr", ("backbone",), ([0.1], [])).as_json(["ours", "random"])
    assert found == {"name": "lr", "of": ["backbone"], "values": {"ours": [0.1], "random": []}}
