"""One store: immutable objects by key, small refs moved by compare-and-swap, and a count of what went through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from olivine.errors import DataError
from olivine.store.directory import Directory
from olivine.store.keys import check_key, parse_location
from olivine.store.pieces import Pieces
from olivine.store.s3 import Bucket

_LARGEST_OFFSET = 1 << 62


class _Objects(Protocol):
    """What a place for objects must do; the docstrings of `Directory` say it in full."""

    def create(self, key: str, data: bytes | Path) -> bool: ...
    def create_content(self, pieces: Pieces, key: Callable[[], str]) -> bool: ...
    def holds(self, key: str, pieces: Pieces) -> bool: ...
    def swap(self, key: str, data: bytes, tag: str | None) -> bool: ...
    def read(self, key: str) -> bytes: ...
    def read_tagged(self, key: str) -> tuple[bytes, str]: ...
    def read_range(self, key: str, offset: int, length: int) -> bytes: ...
    def size(self, key: str) -> int | None: ...
    def modified(self, key: str) -> datetime | None: ...
    def list(self, prefix: str) -> Iterator[str]: ...
    def delete(self, key: str) -> None: ...


@dataclass(frozen=True)
class Ref:
    """A pointer as it was read: its content, and the tag that a later move must still find."""

    content: bytes
    tag: str


@dataclass
class Traffic:
    """What one process moved: bytes each way, requests, and how often each key was read."""

    read_bytes: int = 0
    written_bytes: int = 0
    requests: int = 0
    reads: Counter[str] = field(default_factory=Counter)


class Store:
    """Objects are written once and never changed; only refs move. Made by `open_store`.

    Threads may share one. A pickled one opens again where it arrives, so it can be handed to spawned workers; its
    traffic starts anew there.
    """

    def __init__(self, url: str, retry_s: float) -> None:
        location = parse_location(url)
        self.url = location.url
        self.traffic = Traffic()
        self._retry_s = retry_s
        self._objects: _Objects
        if location.directory is not None:
            self._objects = Directory(location.directory)
        else:
            self._objects = Bucket(location, retry_s)

    def __reduce__(self) -> tuple[Callable[[str, float], Store], tuple[str, float]]:
        return Store, (self.url, self._retry_s)

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write an object unless the key exists; of many writers at most one gets True.

        On S3 an answer can be lost and the request repeated: then the one that created it gets False.

        Raises:
            DiskFullError: no room; StoreError: the store failed; ConfigError: no permission, or no such bucket.
        """
        created = self._objects.create(check_key(key), data)
        self.traffic.requests += 1
        if created:
            size_bytes = data.stat().st_size if isinstance(data, Path) else len(data)
            self.traffic.written_bytes += size_bytes
        return created

    def create_content(self, pieces: Pieces, key: Callable[[], str]) -> bool:
        """As `create`, of bytes that determine their key: it is asked for as late as the store can, and maybe twice.

        So a digest in it can be made in a thread while the bytes are written. Large content goes to S3 in parts.
        """
        created, size_bytes = self._objects.create_content(pieces, lambda: check_key(key())), len(pieces)
        self.traffic.requests += 1
        if created:
            self.traffic.written_bytes += size_bytes
        return created

    def holds(self, key: str, pieces: Pieces) -> bool:
        """Whether the object has these bytes and no others, read to be sure; FileNotFoundError when there is none."""
        same, size_bytes = self._objects.holds(check_key(key), pieces), len(pieces)
        self.traffic.requests += 1
        self.traffic.read_bytes += size_bytes
        self.traffic.reads[key] += 1
        return same

    def read(self, key: str) -> bytes:
        """The whole object; FileNotFoundError when there is none."""
        return self._count(key, self._objects.read(check_key(key)))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """The slice of `length` bytes from `offset` on: shorter, or empty, where the object ends before."""
        if not 0 <= offset <= offset + length < _LARGEST_OFFSET:
            raise DataError(f"{self.url}/{key}: {length} bytes from {offset} are not a range. The index is damaged.")
        if length == 0:
            return b""
        return self._count(key, self._objects.read_range(check_key(key), offset, length))

    def size(self, key: str) -> int | None:
        """Size in bytes, None when the object does not exist."""
        self.traffic.requests += 1
        return self._objects.size(check_key(key))

    def modified(self, key: str) -> datetime | None:
        """When the object was written, None when it does not exist."""
        self.traffic.requests += 1
        return self._objects.modified(check_key(key))

    def list(self, prefix: str) -> Iterator[str]:
        """All keys below the folder `prefix`."""
        self.traffic.requests += 1
        return self._objects.list(check_key(prefix) if prefix else "")

    def delete(self, key: str) -> None:
        """Remove an object (garbage collection and repair only)."""
        self.traffic.requests += 1
        self._objects.delete(check_key(key))

    def read_ref(self, name: str) -> Ref | None:
        """The ref `name`, None when it was never set."""
        self.traffic.requests += 1
        try:
            return Ref(*self._objects.read_tagged(check_key(f"refs/{name}")))
        except FileNotFoundError:
            return None

    def move_ref(self, name: str, content: bytes, expected: Ref | None) -> bool:
        """Set the ref if it is still as `expected` (None: not set); False when somebody else moved it first.

        Let `content` name its writer: on S3 an answer can be lost and the request repeated, which gives False although
        the ref was moved; reading it again then shows who did.
        """
        self.traffic.requests += 1
        return self._objects.swap(check_key(f"refs/{name}"), content, expected.tag if expected else None)

    def _count(self, key: str, data: bytes) -> bytes:
        size_bytes = len(data)
        self.traffic.requests += 1
        self.traffic.read_bytes += size_bytes
        self.traffic.reads[key] += 1
        return data


def open_store(url: str, *, retry_s: float = 180.0) -> Store:
    """Open a directory, `file://` or `s3://bucket/prefix`; a directory is made when missing.

    S3 credentials and endpoint come from the AWS_* environment variables.

    Args:
        url: where the store is.
        retry_s: for how many seconds a failing S3 request is repeated.
    """
    return Store(url, retry_s)
