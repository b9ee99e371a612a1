"""Trace, impact, diff, search and why, asked of the store and of its mirror."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from lineage.graph import WEIGHTS, Graph

from olivine.artifacts.code import code_version
from olivine.errors import UsageError
from olivine.lineage.command import run_search
from olivine.lineage.diff import diff
from olivine.lineage.frames import count_by_drive, frame_table
from olivine.lineage.impact import impact
from olivine.lineage.search import Query, explain, search
from olivine.lineage.source import Place, Source, StoreSource, find_place
from olivine.lineage.trace import trace

ALL_OF_A = {"drives_a", "labels_a", "weights_a", "backbone_a"} | {
    f"{kind}_a{seed}" for kind in ("segmenter", "metrics") for seed in (0, 1)
}


def ids(graph: Graph, names: set[str]) -> set[str]:
    return {graph.id(name) for name in names}


def test_a_trace_holds_everything_behind_and_nothing_else(shared: Graph, source: Source) -> None:
    found = trace(source, Place("evaluate", shared.id("metrics_a1")))
    behind = {"drives_a", "labels_a", "weights_a", "backbone_a", "segmenter_a1", "metrics_a1"}
    assert {step.id for step in found.steps} == ids(shared, behind)
    assert [step.stage for step in found.steps] == ["ingest", "label", "weigh", "pretrain", "finetune", "evaluate"]
    assert found.drives == ("n008", "n015")
    assert found.weights == (WEIGHTS,)
    last = found.steps[-1]
    assert last.inputs == {"drives": shared.id("drives_a"), "segmenter": shared.id("segmenter_a1")}
    assert last.seed == 1
    assert last.finished
    assert last.cost["wall_s"] >= 0
    assert "non-commercial" in found.licences[0]


@pytest.mark.parametrize(
    ("asked", "sort", "reached"),
    [
        ("n008", "drive", ALL_OF_A),
        ("drive:n015", "drive", ALL_OF_A | {name.replace("_a", "_b") for name in ALL_OF_A}),
        ("odd drive/<b>", "drive", {name.replace("_a", "_b") for name in ALL_OF_A}),
        ("a-frame-2", "frame", ALL_OF_A),
        (f"weights:{WEIGHTS}", "weights", {n.replace("_a", f"_{x}") for x in "ab" for n in ALL_OF_A}
         - {f"{kind}_{x}" for kind in ("drives", "labels", "weights") for x in "ab"}),
    ],
)  # fmt: skip
def test_impact_reaches_all_downstream(shared: Graph, source: Source, asked: str, sort: str, reached: set[str]) -> None:
    found = impact(source, asked)
    assert found.sort == sort
    assert {manifest.id for manifest in found.reached} == ids(shared, reached)
    models = {name for name in reached if name.startswith(("backbone", "segmenter"))}
    assert {manifest.id for manifest in found.models} == ids(shared, models)


def test_impact_of_labels_and_of_a_commit(shared: Graph, source: Source) -> None:
    found = impact(source, shared.id("labels_b")[:10])
    assert found.sort == "artifact"
    assert shared.id("drives_b") not in {manifest.id for manifest in found.reached}
    assert len(found.reached) == 7
    commit = code_version("ingest").commit
    if commit:
        assert len(impact(source, commit).reached) == len(shared.made)


@pytest.mark.parametrize("asked", ["nothing", "drive:n999", "frame:zzz", "ffffffff"])
def test_what_is_not_there_is_said(source: Source, asked: str) -> None:
    with pytest.raises(UsageError, match=r"holds nothing made from|is no drive, commit"):
        impact(source, asked)


def test_a_difference_is_named_by_group(shared: Graph, source: Source) -> None:
    one, other = (Place("evaluate", shared.id(f"metrics_{name}0")) for name in "ab")
    found = diff(source, one, other)
    assert found["recipe"]["backbone.lr"] == [0.1, 0.2]
    assert found["data"]["drives.drives"] == [["n008", "n015"], ["n015", "odd drive/<b>"]]
    assert found["result"]["metrics.miou"] == [0.27134, 0.3]
    assert "code" not in found
    assert "environment" not in found
    assert diff(source, one, one) == {}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (Query(kind="backbone"), {"backbone_a", "backbone_b"}),
        (Query(recipe="lr=0.2"), {"backbone_b"}),
        (Query(recipe=WEIGHTS, drive="n008"), {"backbone_a"}),
        (Query(metric="miou>=0.3"), {"metrics_b0", "metrics_b1"}),
        (Query(metric="miou<0.28"), {"metrics_a0"}),
        (Query(kind="metrics", since="2999-01-01"), set()),
        (Query(kind="metrics", until="2000-01-01"), set()),
        (Query(kind="drives", since="2000-01-01", until="2999-01-01"), {"drives_a", "drives_b"}),
    ],
)
def test_search(shared: Graph, source: Source, query: Query, names: set[str]) -> None:
    assert {hit.manifest.id for hit in search(source, query)} == ids(shared, names)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(metric="miou"), r"miou>=0\.3"),
        (Query(metric="miou=>0.3"), r"miou>=0\.3"),
        (Query(kind="metric"), r"'metric' is no kind of artifact: give one of backbone, density_weights, .*metrics"),
        (Query(since="yesterday"), "'yesterday' is no date or time: write it as 2026-01-31"),
        (Query(until="31.1.2026"), "'31.1.2026' is no date or time"),
    ],
)
def test_a_query_that_can_find_nothing_is_refused(source: Source, query: Query, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(search(source, query))


def test_a_search_lists_all_that_it_finds(shared: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    run_search(shared.store.url, Query(), mirror=False, as_json=False)
    *lines, count = capsys.readouterr().out.splitlines()
    found = {hit.manifest.id for hit in search(StoreSource(shared.store), Query())}
    assert {line.split()[2] for line in lines} == found
    # More than `impact` shows.
    assert count == f"{len(found)} artifacts"
    assert len(found) > 12


def test_a_search_of_an_empty_store_asks_for_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_search(str(tmp_path), Query(), mirror=False, as_json=False)
    answer = capsys.readouterr()
    assert answer.out == "0 artifacts\n"
    assert "is empty: is --store right?" in answer.err


def test_a_kind_that_is_not_there_yet_finds_nothing(source: Source) -> None:
    assert list(search(source, Query(kind="detector"))) == []


def test_times_are_compared_as_times(source: Source) -> None:
    ended = [datetime.fromisoformat(hit.finished) for hit in search(source, Query()) if hit.finished]
    # The same moment on a clock two hours ahead: as text it comes later.
    last = max(ended).astimezone(timezone(timedelta(hours=2))).isoformat()
    assert list(search(source, Query(since=last)))


@pytest.mark.parametrize("number", ["27.13", "0.2713", "27.1", "0.27134"])
def test_a_number_leads_back_to_its_frames(shared: Graph, source: Source, number: str) -> None:
    (found,) = explain(source, number)
    assert found["number"] == "miou"
    assert [step["id"] for step in found["way"]][:2] == [shared.id("metrics_a0"), shared.id("segmenter_a0")]
    assert found["way"][1]["labelled_keyframes"] == ["a-frame-0"]
    assert found["way"][-1]["id"] == shared.id("drives_a")
    labels = next(step for step in found["way"] if step["stage"] == "label")
    assert (labels["kind"], labels["labels"]) == ("weak_labels", "grounded_sam")


@pytest.mark.parametrize(("number", "message"), [("99.99", "have the number"), ("many", "is no number")])
def test_a_number_from_nowhere(source: Source, number: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain(source, number)


def test_frames_are_counted_by_drive(shared: Graph) -> None:
    table = frame_table(shared.store, shared["drives_a"].manifest)
    assert count_by_drive(table) == {"n008": 2, "n015": 2}
    assert count_by_drive(table, "all_train") == {"n008": 2}
    assert count_by_drive(table, None, ["a-frame-1"]) == {"n015": 1}


def test_names_are_found_or_refused(shared: Graph) -> None:
    source = StoreSource(shared.store)
    whole = shared.id("backbone_a")
    assert find_place(source, whole) == find_place(source, whole[:8]) == Place("pretrain", whole)
    with pytest.raises(UsageError, match="first 6 or more"):
        find_place(source, whole[:3])
    with pytest.raises(UsageError, match="is no artifact"):
        find_place(source, "0" * 64)


def test_one_drive_is_asked_for_without_reading_frames(shared: Graph) -> None:
    """Nor any manifest but those that the answer names."""
    source = StoreSource(shared.store)
    before = shared.store.traffic.reads.copy()
    found = impact(source, "drive:n008")
    read = shared.store.traffic.reads - before
    assert set(read) == {manifest.key for manifest in found.reached}
