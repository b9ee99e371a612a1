"""Tampering: any byte of any reachable object, edges, swapped manifests, replayed statements; all of it is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lineage.graph import Graph, object_path

from olivine.artifacts.provenance import BY_MATERIAL, BY_SUBJECT
from olivine.errors import DataError
from olivine.lineage.repair import repair
from olivine.lineage.source import Place
from olivine.lineage.verify import verify_lineage
from olivine.store import Store, open_store


@pytest.fixture
def broken(shared: Graph, tmp_path: Path) -> Graph:
    """A copy on a directory, to break."""
    folder = shutil.copytree(shared.store.url.removeprefix("file://"), tmp_path / "store")
    return Graph(open_store(str(folder)), shared.made)


def place(graph: Graph) -> Place:
    return Place("evaluate", graph.id("metrics_a0"))


def problems(graph: Graph) -> list[str]:
    try:
        return verify_lineage(graph.store, place(graph))
    except DataError as error:
        return [str(error)]


def replace(store: Store, key: str, data: bytes) -> None:
    store.delete(key)
    store.create(key, data)


def test_whole_lineage_has_no_problem(graph: Graph) -> None:
    assert problems(graph) == []


def reachable(graph: Graph) -> list[str]:
    """Every object that says something about the metrics: data, manifests, records, statements."""
    names = ["drives_a", "labels_a", "weights_a", "backbone_a", "segmenter_a0", "metrics_a0"]
    keys = []
    for name in names:
        manifest = graph[name].manifest
        keys += [manifest.key, *(blob.key for blob in manifest.data)]
        keys += list(graph.store.list(f"records/runs/{manifest.stage}/{manifest.id}"))
        keys += [f"records/provenance/{key.rsplit('/', 1)[1]}.json"
                 for key in graph.store.list(f"{BY_SUBJECT}/{manifest.id}")]  # fmt: skip
    return keys


def test_any_changed_byte_is_found(broken: Graph) -> None:
    for number, key in enumerate(reachable(broken)):
        file = object_path(broken.store, key)
        before = file.read_bytes()
        position = (7919 * (number + 1)) % len(before)
        changed = bytearray(before)
        changed[position] ^= 1
        file.write_bytes(bytes(changed))
        assert problems(broken), f"byte {position} of {key}"
        file.write_bytes(before)
    assert problems(broken) == []


def test_any_missing_object_is_found(broken: Graph) -> None:
    for key in reachable(broken):
        data = broken.store.read(key)
        broken.store.delete(key)
        assert problems(broken), key
        broken.store.create(key, data)


def test_a_removed_edge_is_found_and_repaired(graph: Graph) -> None:
    for folder in (f"{BY_MATERIAL}/{graph.id('backbone_a')}", "records/by-fact/drive/n008"):
        key = next(iter(graph.store.list(folder)))
        graph.store.delete(key)
    assert any("missing in the index" in problem for problem in problems(graph))
    repair(graph.store)
    assert problems(graph) == []


def test_a_lost_statement_is_found_and_written_again(graph: Graph) -> None:
    for key in list(graph.store.list(f"{BY_SUBJECT}/{graph.id('labels_a')}")):
        graph.store.delete(key)
    assert "no statement" in problems(graph)[0]
    assert repair(graph.store)["statements"] == 1
    assert problems(graph) == []


def test_a_replayed_statement_is_found(graph: Graph) -> None:
    """The genuine statement of another artifact, put in the place of this one's."""
    theirs = next(iter(graph.store.list(f"{BY_SUBJECT}/{graph.id('labels_b')}"))).rsplit("/", 1)[1]
    graph.store.create(f"{BY_SUBJECT}/{graph.id('labels_a')}/{theirs}", b"")
    assert any("is about other bytes" in problem for problem in problems(graph))


def test_a_swapped_manifest_is_found(graph: Graph) -> None:
    mine, theirs = graph["labels_a"].manifest, graph["labels_b"].manifest
    replace(graph.store, mine.key, graph.store.read(theirs.key))
    assert "another artifact" in problems(graph)[0]


def test_a_manifest_that_was_edited_and_sealed_again_is_found(graph: Graph) -> None:
    mine = graph["drives_a"].manifest
    edited = mine.model_copy(update={"counts": {"keyframes": 5}}).seal()
    replace(graph.store, mine.key, edited.to_json())
    assert problems(graph)


def test_repair_touches_nothing_that_is_whole(graph: Graph) -> None:
    before = sorted(graph.store.list(""))
    assert repair(graph.store) == {"artifacts": len(graph.made), "statements": 0, "without_record": 0}
    assert sorted(graph.store.list("")) == before
