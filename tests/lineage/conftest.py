"""The small lineage on both sorts of store, and both sources over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lineage.graph import Graph, build_graph

from olivine.lineage import MirrorSource, Source, StoreSource, build_mirror
from olivine.store import Store, open_store


@pytest.fixture
def graph(store: Store) -> Graph:
    """A fresh one that a test may break, on a directory and on S3."""
    return build_graph(store)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """One on a directory, not to be changed."""
    return build_graph(open_store(str(tmp_path_factory.mktemp("lineage") / "store")))


@pytest.fixture(params=["store", "mirror"])
def source(request: pytest.FixtureRequest, shared: Graph, tmp_path: Path) -> Source:
    """The store and its mirror: every answer is asked of both."""
    if request.param == "store":
        return StoreSource(shared.store)
    build_mirror(shared.store, tmp_path / "mirror.sqlite")
    return MirrorSource(tmp_path / "mirror.sqlite")
