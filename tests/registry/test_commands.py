"""The registry from the command line, as a person uses it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from olivine import cli
from olivine.store import open_store

from .samples import VERSION, score, segmenter_of, write_drive


@pytest.fixture
def olivine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["olivine", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def test_from_a_drive_to_a_plan(olivine, tmp_path: Path) -> None:
    store = ["--store", tmp_path / "store"]
    root = write_drive(tmp_path, "a")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert olivine("registry", "add", "a", root, "--version", VERSION, *store)[:2] == (
        0,
        f"drive a: 2 files, {size} bytes\n",
    )
    code, out, _ = olivine("registry", "list", *store)
    first, last = out.splitlines()
    assert (code, first.split()) == (0, ["a", VERSION, "2", "files", str(size), "bytes", "new"])
    assert last == f"1 complete drives in {(tmp_path / 'store').as_uri()}"
    assert json.loads(olivine("registry", "list", "--json", *store)[1])["drives"][0]["trained"] is False
    code, out, _ = olivine("plan", "--version", VERSION, *store)
    assert (code, out.splitlines()[0]) == (0, "train on 1 drives, 1 of them new")
    code, out, _ = olivine("plan", "--version", VERSION, *store)
    assert "is training on these drives" in out
    made = json.loads(olivine("plan", "--version", VERSION, "--recipe", "demo", "--json", *store)[1])
    assert made["new"] == ["a"]
    assert len(made["plan"]) == 64


def test_promoting_and_rolling_back(olivine, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    first, second = score(store, 1, 0.5), score(store, 2, 0.6)
    where = ["--store", tmp_path / "store", "--reason", "a look at the pictures"]
    for metrics in (first, second):
        model = segmenter_of(metrics).id
        done = olivine("promote", model[:10], "--metrics", metrics.id, *where)
        assert done[:2] == (0, f"promoted: segmenter {model}\n")
    assert olivine("rollback", *where)[1] == f"promoted: segmenter {segmenter_of(first).id}\n"
    lines = olivine("registry", "history", "--store", tmp_path / "store")[1].splitlines()
    assert [line.split()[2] for line in lines] == ["rollback", "promote", "promote"]
    assert all(line.endswith("a look at the pictures") for line in lines)
    assert olivine("rollback", *where)[0] == 64


def test_the_gate_is_for_pipelines(olivine) -> None:
    code, _, err = olivine("gate")
    assert code == 64
    assert "olivine promote" in err
