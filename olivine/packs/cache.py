"""A folder on a local disk that keeps ranges of packs, so that a node reads each from the store once.

Shared by all processes of a node, without a server: a file is written whole under the digest of its content, read back
with a check, touched when it is used, and the ones that were not used for longest go when the folder is full.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from olivine.artifacts.digest import sha256_hex
from olivine.errors import ConfigError

_SWEEP_SHARE = 0.02
"""Share of the limit that is written between two looks at the folder."""
_KEPT_SHARE = 0.9
"""What a sweep leaves of the limit."""


class DiskCache:
    """At most about `limit_bytes` in `folder`. A disk that is full or damaged costs time, never a wrong byte."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        self.hits = self.misses = 0
        self._written = limit_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{folder}: cannot be used as a cache: {error.strerror}. Choose another folder."
            ) from error

    def __reduce__(self) -> tuple[type[DiskCache], tuple[Path, int]]:
        return DiskCache, (self._folder, self._limit_bytes)

    def get(self, sha256: str, fetch: Callable[[], bytes]) -> bytes:
        """The bytes with this digest, from the folder or else from `fetch`, which checks what it brings."""
        path = self._folder / sha256[:2] / sha256
        data = self._read(path, sha256)
        if data is not None:
            self.hits += 1
            return data
        self.misses += 1
        data = fetch()
        # A cache may fail: then it is no cache, and the run goes on.
        with suppress(OSError):
            self._write(path, data)
        return data

    def _read(self, path: Path, sha256: str) -> bytes | None:
        try:
            data = path.read_bytes()
            if sha256_hex(data) == sha256:
                os.utime(path)
                return data
            path.unlink()
        except OSError:
            pass
        return None

    def _write(self, path: Path, data: bytes) -> None:
        if len(data) > self._limit_bytes:
            return
        path.parent.mkdir(exist_ok=True)
        staged = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            staged.write_bytes(data)
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        self._written += len(data)
        if self._written > self._limit_bytes * _SWEEP_SHARE:
            self._written = 0
            self._sweep()

    def _sweep(self) -> None:
        """Remove the files not used for longest until the folder is small enough; one process at a time."""
        with (self._folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            files = [(stat.st_mtime_ns, stat.st_size, path) for path, stat in self._files()]
            total = sum(size for _, size, _ in files)
            if total <= self._limit_bytes:
                return
            for _, size, path in sorted(files):
                path.unlink(missing_ok=True)
                total -= size
                if total <= self._limit_bytes * _KEPT_SHARE:
                    return

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):
                found.append((path, path.stat()))
        return found
