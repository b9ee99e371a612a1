"""Drives that are ingested and nothing more: what tests of this stage need of the chain."""

from __future__ import annotations

import pytest
from chain import Chain, copy_drives

from olivine.artifacts import Artifact
from olivine.store import open_store


@pytest.fixture(scope="session")
def ingested(chain_root, tmp_path_factory) -> Artifact:
    """Eleven keyframes at 192 x 108 pixels."""
    return Chain(chain_root, open_store(str(tmp_path_factory.mktemp("ingested") / "store"))).run("ingest")


@pytest.fixture
def fresh_drives(ingested, tmp_path) -> Artifact:
    """The same in a store of their own, without labels."""
    return copy_drives(ingested, tmp_path / "fresh-store")
