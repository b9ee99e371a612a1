"""The mirror: the same as the store, built again at any time, whole or not at all; and many writers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lineage.graph import Graph, build_graph, publish, publish_drives

from olivine.errors import ConfigError, DataError
from olivine.lineage import MirrorSource, StoreSource, build_mirror
from olivine.lineage.source import Place
from olivine.lineage.trace import descendants
from olivine.store import Store


def test_it_says_what_the_store_says(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite"
    assert build_mirror(graph.store, path) == len(graph.made)
    store, mirror = StoreSource(graph.store), MirrorSource(path)
    assert mirror.url == store.url
    assert list(mirror.places()) == list(store.places())
    for place in store.places():
        manifest = store.manifest(place)
        assert manifest is not None
        assert mirror.manifest(place) == manifest
        assert mirror.consumers(place.id) == store.consumers(place.id)
        assert mirror.run(manifest) == store.run(manifest)
    for fact in (("drive", "n015"), ("drive", "odd drive/<b>"), ("weights", "ab" * 32), ("drive", "none")):
        assert mirror.holders(*fact) == store.holders(*fact)
    assert mirror.frame_places("b-frame-3") == store.frame_places("b-frame-3") != []
    assert mirror.manifest(Place("label", graph.id("drives_a"))) is None


def test_what_it_knows_is_not_read_again(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite"
    build_mirror(graph.store, path)
    publish_drives(graph.store, "c", ("n099",))
    before = graph.store.traffic.reads.copy()
    assert build_mirror(graph.store, path) == len(graph.made) + 1
    read = [key for key in graph.store.traffic.reads - before if key.endswith("manifest.json")]
    assert len(read) == 1
    assert len(MirrorSource(path).holders("drive", "n099")) == 1


def test_a_damaged_manifest_leaves_the_old_mirror(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite"
    build_mirror(graph.store, path)
    whole = path.read_bytes()
    late = publish_drives(graph.store, "c", ("n099",))
    graph.store.delete(late.manifest.key)
    graph.store.create(late.manifest.key, b"{}")
    with pytest.raises(DataError, match="not a manifest"):
        build_mirror(graph.store, path)
    assert path.read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [path.name]


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_no_mirror_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mirror.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="olivine lineage mirror"):
        MirrorSource(path)


def test_another_store_s_mirror_is_not_taken_over(shared: Graph, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite"
    build_mirror(shared.store, path)
    build_graph(store)
    build_mirror(store, path)
    assert MirrorSource(path).url == store.url


def test_64_writers_lose_no_edge(store: Store) -> None:
    base = publish_drives(store, "a", ("n008",))

    def write(number: int) -> str:
        return publish(store, "label", "weak_labels", {"drives": base}, {"number": number}, {}).id

    with ThreadPoolExecutor(64) as pool:
        made = set(pool.map(write, range(64)))
    assert len(made) == 64
    source = StoreSource(store)
    assert {place.id for place in source.consumers(base.id)} == made
    assert len(descendants(source, source.holders("drive", "n008"))) == 65
