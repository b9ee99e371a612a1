"""The one file that talks to obstore: objects in an S3 bucket, errors in our own words."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from olivine.errors import ConfigError, DiskFullError, OlivineError, StoreError
from olivine.store.keys import Location
from olivine.store.pieces import Pieces
from olivine.store.settings import S3Settings

# An upload of this size or more gets an hour instead of a minute, and a look whether it is there before it is sent.
_BULK_BYTES = 64 << 20
# Content of several parts is sent, and read back to be compared, so many parts at once. S3 takes 10 000 parts.
_PART_BYTES, _PARTS_AT_ONCE, _MOST_PARTS = 8 << 20, 4, 10_000
_ATTEMPTS = 6
_DENIED = ("403 Forbidden", "401 Unauthorized", "169.254.169.254")
_FULL = ("QuotaExceeded", "507 Insufficient Storage", "No space left")
_process_of_runtime = 0
T = TypeVar("T")


class Bucket:
    """Objects below a prefix of an S3 bucket. Failed requests are repeated, with growing, random pauses."""

    def __init__(self, location: Location, retry_s: float) -> None:
        self._location = location
        self._retry_s = retry_s
        self._settings = S3Settings.from_environment()

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write `key` if it does not exist; return whether this call created it."""
        size_bytes = data.stat().st_size if isinstance(data, Path) else len(data)
        if size_bytes >= _BULK_BYTES and self.size(key) is not None:
            return False
        return self._put(key, lambda: data, size_bytes, mode="create", use_multipart=False)

    def create_content(self, pieces: Pieces, key: Callable[[], str]) -> bool:
        """As `create`, of bytes whose digest is in their key; large ones go in parts, several at once.

        S3 knows no create-only end of such an upload in this client, so there is a look before it: what another writer
        puts there meanwhile has the same digest, and readers see one or the other whole.
        """
        name, size_bytes = key(), len(pieces)
        if size_bytes <= _PART_BYTES:
            return self.create(name, pieces.slice(0, size_bytes))
        if self.size(name) is not None:
            return False
        part_bytes = max(_PART_BYTES, -(-size_bytes // _MOST_PARTS))
        options = {"use_multipart": True, "chunk_size": part_bytes, "max_concurrency": _PARTS_AT_ONCE}
        for _ in range(2):
            try:
                return self._send(name, lambda: pieces.chunks(part_bytes), size_bytes, **options)
            except FileNotFoundError:
                # The answer to the end was lost, obstore ended it again, and the server knew no such upload any more.
                if self.size(name) is not None:
                    return False
        raise StoreError(
            f"{self._location.url}/{name}: the server forgot the upload twice before its end. Look whether something "
            "removes unfinished uploads there, then run again."
        )

    def holds(self, key: str, pieces: Pieces) -> bool:
        """Whether `key` has these bytes and no others; FileNotFoundError when there is none."""
        size_bytes = self.size(key)
        if size_bytes is None:
            raise FileNotFoundError(key)
        if size_bytes != len(pieces):
            return False

        def same(offset: int) -> bool:
            return self.read_range(key, offset, _PART_BYTES) == pieces.slice(offset, _PART_BYTES)

        with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            return all(pool.map(same, range(0, size_bytes, _PART_BYTES)))

    def swap(self, key: str, data: bytes, tag: str | None) -> bool:
        """Create `key` (tag None) or replace it if it still has `tag`; return whether it was written."""
        mode = "create" if tag is None else {"e_tag": tag}
        return self._put(key, lambda: data, len(data), mode=mode, use_multipart=False)

    def read(self, key: str) -> bytes:
        """All bytes of `key`; FileNotFoundError when there is none."""
        return self.read_tagged(key)[0]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """All bytes of `key` and the tag that `swap` compares."""
        return self._insist(key, lambda: self._get(key))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """As a slice: fewer than `length` bytes, or none, where the object ends before."""
        try:
            return self._insist(key, lambda: bytes(obstore.get_range(self._reader, key, start=offset, length=length)))
        except StoreError as error:
            if "416 Range Not Satisfiable" in str(error):
                return b""
            raise

    def size(self, key: str) -> int | None:
        """Size in bytes, None when there is no such key."""
        try:
            with self._translated(key):
                return int(obstore.head(self._writer, key)["size"])
        except FileNotFoundError:
            return None

    def modified(self, key: str) -> datetime | None:
        """When `key` was written by the server's clock, None when there is no such key."""
        try:
            with self._translated(key):
                written: datetime = obstore.head(self._writer, key)["last_modified"]
                return written
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below the folder `prefix`, in the order of the server."""
        return iter(self._insist(prefix, lambda: self._list_all(prefix)))

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens when it is not there."""
        with suppress(FileNotFoundError):
            self._insist(key, lambda: obstore.delete(self._writer, key))

    def _get(self, key: str) -> tuple[bytes, str]:
        answer = obstore.get(self._reader, key)
        return bytes(answer.bytes()), answer.meta["e_tag"] or ""

    def _list_all(self, prefix: str) -> builtins.list[str]:
        return [item["path"] for chunk in obstore.list(self._writer, prefix=prefix or None) for item in chunk]

    def _insist(self, key: str, call: Callable[[], T], size_bytes: int = 0) -> T:
        """Repeat what obstore gives up on: it repeats a refused request, but not one whose body or answer broke off."""
        for _ in range(_ATTEMPTS):
            try:
                with self._translated(key, size_bytes):
                    return call()
            except StoreError as error:
                if "response body" not in str(error):
                    raise
                last = error
        raise last

    @cached_property
    def _reader(self) -> Any:
        # A minute without a byte ends a read; a long one that goes on does not.
        return self._connect(timeout=timedelta(hours=1), read_timeout=timedelta(minutes=1))

    @cached_property
    def _writer(self) -> Any:
        return self._connect(timeout=timedelta(minutes=1))

    @cached_property
    def _bulk_writer(self) -> Any:
        return self._connect(timeout=timedelta(hours=1))

    def _connect(self, **timeouts: timedelta) -> Any:
        options: Any = {
            "connect_timeout": timedelta(seconds=10),
            "allow_http": not self._settings.encrypted,
            **timeouts,
        }
        retry: Any = {
            "max_retries": 10,
            "retry_timeout": timedelta(seconds=self._retry_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=10),
                "base": 2.0,
            },
        }
        settings: Any = {"region": self._settings.region}
        if self._settings.endpoint:
            settings["endpoint"] = self._settings.endpoint
        return S3Store(
            cast(str, self._location.bucket),
            prefix=self._location.prefix or None,
            client_options=options,
            retry_config=retry,
            **settings,
        )

    def _put(self, key: str, data: Callable[[], Any], size_bytes: int, **options: Any) -> bool:
        try:
            return self._send(key, data, size_bytes, **options)
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def _send(self, key: str, data: Callable[[], Any], size_bytes: int, **options: Any) -> bool:
        try:
            store = self._bulk_writer if size_bytes >= _BULK_BYTES else self._writer
            self._insist(key, lambda: obstore.put(store, key, data(), **options), size_bytes)
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    @contextmanager
    def _translated(self, key: str, size_bytes: int = 0) -> Iterator[None]:
        """Turn obstore's errors into ours; 'exists' and 'not found' pass, they are answers."""
        _check_process()
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except (NotFoundError, FileNotFoundError) as error:
            if "NoSuchBucket" in str(error):
                raise self._no_bucket() from error
            raise FileNotFoundError(key) from error
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise self._denied(key) from error
        except (BaseError, OSError) as error:
            raise self._failure(key, size_bytes, error) from error

    def _failure(self, key: str, size_bytes: int, error: Exception) -> OlivineError:
        text, first_line = str(error), str(error).partition("\n")[0]
        if any(sign in text for sign in _FULL):
            return DiskFullError(
                f"{self._location.url}/{key}: no room, {size_bytes} bytes needed. Free space and run again."
            )
        if any(sign in text for sign in _DENIED):
            return self._denied(key)
        return StoreError(
            f"{self._location.url}/{key}: the store failed after retries. Check AWS_ENDPOINT_URL and the server, then "
            f"run again: {first_line}"
        )

    def _denied(self, key: str) -> ConfigError:
        return ConfigError(
            f"{self._location.url}/{key}: no permission. Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_ENDPOINT_URL and the policy of the bucket (files in ~/.aws are not read)."
        )

    def _no_bucket(self) -> ConfigError:
        return ConfigError(
            f"{self._location.url}: there is no bucket {self._location.bucket!r}. Check the name, or make it with "
            "`olivine store init`."
        )


def _check_process() -> None:
    """Refuse to wait for ever: obstore's threads do not exist in a child forked after their first use."""
    global _process_of_runtime
    if _process_of_runtime not in (0, os.getpid()):
        raise ConfigError(
            "An S3 store was used before this process was forked, which would hang. Start workers with the method "
            "'spawn' or 'forkserver'."
        )
    _process_of_runtime = os.getpid()
