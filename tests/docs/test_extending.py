"""The worked examples of docs/extending.md run as they stand, each in a folder and a namespace of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/extending.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S))


def block(section: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], flags=re.S)
    return found


def test_there_is_a_section_for_each_thing():
    assert list(SECTIONS) == ["A new data set", "A new sensor", "A new labeler", "A new loss", "A new backbone"]


@pytest.mark.parametrize("section", ["A new data set", "A new sensor", "A new labeler"])
def test_the_example_prints_what_it_says(section, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "```json" in SECTIONS[section]:
        Path("fleet.json").write_text(block(section, "json"))
    code = block(section, "python")
    exec(compile(code, section, "exec"), {})
    (printed,) = re.findall(r"^print\(.*\)  # (.+)$", code, flags=re.M)
    # "..." stands for digits that float32 adds.
    expected = re.escape(printed).replace(re.escape("..."), r"\d*")
    assert re.fullmatch(expected, capsys.readouterr().out.strip())


def test_the_table_of_the_data_set_says_its_trap(tmp_path, monkeypatch):
    from olivine.datasets import load_table

    monkeypatch.chdir(tmp_path)
    Path("own.json").write_text(block("A new data set", "json"))
    assert load_table("own.json").traps["val"] == "Sequence b was driven at night alone."


def test_the_backbone_learns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(compile(block("A new backbone", "python"), "A new backbone", "exec"), found)
    found["features_RD"].sum().backward()
    point_rows = found["clouds"][0].row_N
    assert len(point_rows) == 100
    assert set(point_rows.tolist()) == set(range(found["clouds"][0].num_rows))


def test_the_loss_reaches_the_rows_of_its_pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(compile(block("A new loss", "python"), "A new loss", "exec"), found)
    assert 0 < found["loss"].item() < 2
    assert found["features_RD"].grad.abs().sum() > 0
