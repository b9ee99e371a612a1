"""A fake cluster, and the real client that talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("kubernetes", reason="no kubernetes client: the extra olivine[pipeline] is not installed")

from kubernetes import client

from olivine.platform.trainjob.cluster import Cluster

from .fake_cluster import FakeCluster


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    fake = FakeCluster()
    yield fake
    fake.stop()


@pytest.fixture
def cluster(fake: FakeCluster) -> Cluster:
    settings = client.Configuration(host=fake.start())
    settings.retries = False
    return Cluster("olivine", client.ApiClient(settings), give_up_s=5.0, sleep=lambda seconds: None)
