"""Drives that were registered one by one make the data set they would make together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chain import SETTINGS

from olivine.errors import DataError
from olivine.registry.assemble import assemble
from olivine.registry.plan import Request, make_plan
from olivine.registry.ready import add_drive, file_key
from olivine.steps import StepCall, run_step
from olivine.store import Store, open_store

from .samples import MINI, NOW, VERSION, add, cut


def test_ingesting_a_plan_gives_the_bytes_of_ingesting_the_whole(chain_root: Path, tmp_path: Path) -> None:
    names = [row["name"] for row in json.loads((chain_root / MINI / "scene.json").read_text())]
    store = open_store(str(tmp_path / "own"))
    for number, part in enumerate([names[:4], names[4:]]):
        add_drive(store, f"drive-{number}", cut(chain_root, tmp_path / f"part-{number}", part), MINI)
    plan = make_plan(store, Request(MINI, "tiny_cpu"), "r", NOW).plan
    made, whole = (
        run_step("ingest", StepCall(store.url, "tiny_cpu", SETTINGS["ingest"], {}, source)).manifest
        for source in (f"plan:{plan.digest}", str(chain_root))
    )
    assert made.data_digest == whole.data_digest
    assert made.counts == whole.counts
    assert made.id != whole.id, "the tables' bytes differ, so that nothing was found finished"


def planned(store: Store) -> Any:
    return make_plan(store, Request(VERSION, "tiny_cpu"), "r", NOW).plan


def test_tables_are_joined_and_files_lie_side_by_side(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a", "b")
    out = assemble(store, planned(store), tmp_path / "out")
    rows = json.loads((out / VERSION / "scene.json").read_text())
    assert [row["token"] for row in rows] == ["a-0", "a-1", "b-0", "b-1"]
    assert (out / "samples/LIDAR_TOP/b+0800__1.pcd.bin").read_bytes() == b"b" * 50


def test_rows_that_disagree_are_refused(store: Store, tmp_path: Path) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / name / VERSION).mkdir(parents=True)
        (tmp_path / name / VERSION / "log.json").write_text(json.dumps([{"token": "t", "colour": colour}]))
        add_drive(store, name, tmp_path / name, VERSION)
    with pytest.raises(DataError, match=r"log\.json of drive b: token t has another colour"):
        assemble(store, planned(store), tmp_path / "out")


def test_files_that_disagree_are_refused(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / VERSION).mkdir(parents=True)
        (tmp_path / name / VERSION / "log.json").write_text("[]")
        (tmp_path / name / "same.bin").write_text(name)
        add_drive(store, name, tmp_path / name, VERSION)
    with pytest.raises(DataError, match=r"same\.bin is in the drives a and b with different bytes"):
        assemble(store, planned(store), tmp_path / "out")


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"name": "x"}]', "[" * 100_000])
def test_tables_that_are_none_are_refused(store: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / "a" / VERSION).mkdir(parents=True)
    (tmp_path / "a" / VERSION / "log.json").write_text(text)
    add_drive(store, "a", tmp_path / "a", VERSION)
    with pytest.raises(DataError, match=r"log\.json of drive a"):
        assemble(store, planned(store), tmp_path / "out")


def test_a_drive_that_changed_since_it_was_planned_is_refused(store: Store, tmp_path: Path) -> None:
    (ready,) = add(store, tmp_path, "a")
    plan = planned(store)
    store.delete(file_key("a", ready.files[0].path))
    with pytest.raises(DataError, match="is missing"):
        assemble(store, plan, tmp_path / "out")
    store.delete("registry/drives/a/_READY.json")
    with pytest.raises(DataError, match="is gone since it was planned"):
        assemble(store, plan, tmp_path / "out2")
    store.create("registry/drives/a/_READY.json", ready.model_copy(update={"files": ready.files[1:]}).to_json())
    with pytest.raises(DataError, match="was changed since it was planned"):
        assemble(store, plan, tmp_path / "out3")
