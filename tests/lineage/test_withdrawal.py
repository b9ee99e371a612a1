"""A withdrawn drive: later ingests leave it out, later stages refuse what holds it, and models say so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chain import Chain, command_line
from lineage.graph import Graph, build_graph, publish

from olivine.artifacts.withdrawn import WITHDRAWN, withdraw, withdrawals
from olivine.drives import Drives
from olivine.errors import DataError, IntegrityError, UsageError
from olivine.lineage.card import write_card
from olivine.lineage.command import run_withdraw
from olivine.lineage.impact import impact, promoted_among
from olivine.lineage.source import Place, StoreSource
from olivine.lineage.withdrawal import affected, withdrawn_behind
from olivine.registry.promotion import promote
from olivine.steps import StepCall, run_step
from olivine.store import Store, open_store


def test_a_withdrawal_says_who_why_and_when(store: Store) -> None:
    first = withdraw(store, "n008", "a face is seen", "ada")
    withdraw(store, "odd drive/<b>", "asked for", "ben")
    withdraw(store, "n008", "and another", "ben")
    found = withdrawals(store)
    assert list(found) == ["n008", "odd drive/<b>"]
    assert found["n008"][0] == first
    assert [record.reason for record in found["n008"]] == ["a face is seen", "and another"]
    for drive, reason in (("", "why"), ("n008", " ")):
        with pytest.raises(UsageError, match="--reason"):
            withdraw(store, drive, reason)


def test_a_broken_record_stops_rather_than_lets_pass(store: Store) -> None:
    store.create(f"{WITHDRAWN}/n008/x.json", b"{")
    with pytest.raises(IntegrityError, match="not a withdrawal"):
        withdrawals(store)


def test_what_it_has_reached_is_marked(graph: Graph) -> None:
    place = Place("finetune", graph.id("segmenter_a0"))
    assert withdrawn_behind(graph.store, place) == []
    withdraw(graph.store, "n008", "a face is seen", "ada")
    assert len(affected(graph.store, "n008")) == 8
    (mark,) = withdrawn_behind(graph.store, place)
    assert "n008 was withdrawn by ada" in mark
    assert withdrawn_behind(graph.store, Place("finetune", graph.id("segmenter_b0"))) == []
    assert "## Withdrawn" in write_card(graph.store, place)


def test_a_name_that_nothing_was_made_from_may_be_misspelt(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    graph = build_graph(store)
    run_withdraw(graph.store.url, "n0O8", "a face is seen", "ada")
    assert "is it spelt as in `olivine lineage trace`?" in capsys.readouterr().err
    run_withdraw(graph.store.url, "n008", "a face is seen", "ada")
    assert capsys.readouterr().err == ""


def test_detectors_of_withdrawn_frames_are_marked(store: Store) -> None:
    frames = publish(store, "ingest", "frames", {}, {"dataset": "kitti"}, {"drives": ["kitti_object"]})
    detector = publish(store, "finetune", "detector", {"frames": frames}, {"seed": 0}, {})
    withdraw(store, "kitti_object", "the licence ended", "ada")
    (mark,) = withdrawn_behind(store, Place("finetune", detector.id))
    assert "kitti_object was withdrawn by ada" in mark


def test_impact_says_when_the_promoted_model_is_among_it(graph: Graph) -> None:
    found = impact(StoreSource(graph.store), "n008")
    assert promoted_among(graph.store, found) is None
    promote(graph.store, graph["segmenter_b0"], None, "better", "r", datetime.now(UTC))
    assert promoted_among(graph.store, found) is None
    promote(graph.store, graph["segmenter_a1"], None, "better", "r", datetime.now(UTC))
    assert promoted_among(graph.store, found) == graph.id("segmenter_a1")


def test_later_work_leaves_it_out(chain: Chain, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    before = run_step("ingest", StepCall(store.url, "tiny_cpu", [], {}, str(chain.root)))
    drive = before.manifest.summary["drives"][0]
    withdraw(store, drive, "a face is seen")
    with pytest.raises(UsageError, match=f"{drive} \\(a face is seen\\).*Ingest again"):
        run_step("label", StepCall(store.url, "tiny_cpu", [], {"drives": before.id}))
    after = run_step("ingest", StepCall(store.url, "tiny_cpu", [], {}, str(chain.root)))
    assert after.id != before.id
    assert drive not in after.manifest.summary["drives"]
    assert drive not in set(Drives(after).column("drive").values())
    assert len(Drives(after).tokens()) == len(Drives(before).tokens()) - 1
    assert after.manifest.recipe["withdrawn"] == [drive]
    run_step("label", StepCall(store.url, "tiny_cpu", [], {"drives": after.id}))
    for other in after.manifest.summary["drives"]:
        withdraw(store, other, "all of it")
    with pytest.raises(DataError, match=r"all drives of .* were withdrawn"):
        run_step("ingest", StepCall(store.url, "tiny_cpu", [], {}, str(chain.root)))


def test_the_commands(tmp_path: Path) -> None:
    graph = build_graph(open_store(str(tmp_path / "store")))
    done = command_line("drives", "withdraw", "n008", "--reason", "a face", "--by", "ada", "--store", graph.store.url)
    assert done.returncode == 0, done.stderr
    assert "n008 is withdrawn by ada" in done.stdout
    assert "reached 8 artifacts" in done.stdout
    listed = command_line("drives", "list", "--json", "--store", graph.store.url)
    assert json.loads(listed.stdout)["n008"][0]["reason"] == "a face"
