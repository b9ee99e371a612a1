"""docs/paper.md is what its generator makes, names every figure and table, and tells only commands that there are."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import typer.main

from olivine.cli import app
from olivine.errors import DataError, UsageError
from olivine.platform.compiled_pipelines import pipeline_names
from olivine.recipes import load_recipe
from olivine.study.paper import main, read_paper, render_paper

DOCS = Path(__file__).parents[2] / "docs"
PAPER = read_paper(DOCS / "paper.toml")
STUDY = json.loads((DOCS / "miniature.json").read_text())


def test_the_page_is_what_the_generator_makes(tmp_path):
    """`python -m olivine.study.paper` writes it again."""
    for name in ("paper.toml", "miniature.json"):
        (tmp_path / name).write_bytes((DOCS / name).read_bytes())
    main(tmp_path)
    assert (tmp_path / "paper.md").read_text() == (DOCS / "paper.md").read_text()


def test_every_figure_and_table_of_the_paper_is_there():
    assert sorted(number for figure in PAPER.figure for number in figure.numbers) == list(range(1, 14))
    assert {int(re.match(r"\d+", table.number).group()) for table in PAPER.table} == set(range(1, 13))
    assert [table.number for table in PAPER.table if table.number.startswith("6")] == ["6a", "6b", "6c", "6d"]


def accept(command: str) -> str:
    """Parse a command as the command line does, without running it; the name of what would run."""
    program, *arguments = shlex.split(command)
    assert program == "olivine"
    found, context = typer.main.get_command(app), None
    while hasattr(found, "commands") and arguments and arguments[0] in found.commands:
        context = type(found).context_class(found, parent=context, info_name=found.name)
        found, arguments = found.commands[arguments[0]], arguments[1:]
    is_group = hasattr(found, "commands") and bool(arguments) and not arguments[0].startswith("-")
    assert context is not None, f"{command}: there is no such command"
    assert not is_group, f"{command}: there is no such command"
    found.make_context(found.name, list(arguments), parent=context)
    for flag, name in pairwise(arguments):
        if flag == "--recipe":
            load_recipe(name)
    if found.name == "run":
        assert arguments[0] in pipeline_names()
    return str(found.name)


@pytest.mark.parametrize("command", PAPER.commands)
def test_every_command_is_one_of_the_command_line(command):
    assert accept(command) in command.split()


@pytest.mark.parametrize(
    "command",
    [
        "olivine no-such-thing",
        "olivine figure-of-nothing X --out x.html",
        "olivine table --no-such-option 3",
        "olivine finetune --recipe olivine@paper_3",
        "olivine robustness --drives X",
        "olivine study nothing",
    ],
)
def test_the_check_of_commands_sees_what_is_wrong(command):
    with pytest.raises((AssertionError, UsageError, typer.TyperException)):
        accept(command)


def test_numbers_of_the_paper_stand_beside_ours():
    page = render_paper(PAPER, STUDY)
    assert "| OLIVINE | paper | 50.09 | 50.58 | 60.19 | 65.01 | 70.13 | 76.54 | 49.38 |" in page
    mean = 100 * STUDY["arms"]["olivine"]["regimes"]["lp"]["mean"]
    assert re.search(rf"\|  \| ours \| {mean:.2f} \[.*\| not run \|", page)
    assert "no command yet" not in "".join(PAPER.commands)


FIGURE = '[[figure]]\nnumbers = [1]\ntitle = "One"\ncommands = []\n'
TABLE = '[[table]]\nnumber = "1"\ntitle = "T"\nsource = "S"\ncommands = []\ncolumns = ["a"]\n'
ROW = '[[table.row]]\nname = "r"\npaper = ["1"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[", "is not TOML"),
        (FIGURE + TABLE + ROW.replace('"1"', '"1", "2"'), "'r' has 2 cells, but there are 1 columns"),
        (FIGURE + TABLE + 'regimes = ["lp", "1%"]\n' + ROW, "2 regimes are named for 1 columns"),
        (FIGURE + TABLE + ROW + "ours = 3\n", "Extra inputs"),
        (TABLE + ROW, "figure: Field required"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    path = tmp_path / "paper.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_paper(path)


def test_an_arm_that_the_study_has_not_is_refused(tmp_path):
    path = tmp_path / "paper.toml"
    path.write_text(FIGURE + TABLE + ROW + 'arm = "nobody"\n')
    with pytest.raises(DataError, match="no arm 'nobody'"):
        render_paper(read_paper(path), STUDY)
