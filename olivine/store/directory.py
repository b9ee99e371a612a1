"""Objects in a directory: a key is a file, whole and on the disk before it appears under its name.

obstore's LocalStore is not used: it does not flush to the disk (after a power cut a manifest could outlive the data it
names), has no conditional update, follows symbolic links out of the store and lists files that are no objects.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from olivine.errors import ConfigError, DataError, DiskFullError, OlivineError, StoreError, UsageError
from olivine.store.keys import is_key
from olivine.store.pieces import Pieces

_WRITTEN_BYTES, _COMPARED_BYTES = 16 << 20, 1 << 20
_OWN_NAMES = (".staging", ".staging.lock", ".refs.lock")
_STAGED_NAME = re.compile(r"[0-9a-f]{32}")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_PLACE = frozenset({errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY})


class Directory:
    """Objects below one directory. Names that start with a dot are its own: files being written, and locks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging, self._staging_lock, self._refs_lock = (root / name for name in _OWN_NAMES)
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{root}: cannot be used as a store directory: {error.strerror}.") from error
        for name in _OWN_NAMES:
            _refuse_link(root / name)
        self._sweep()

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write `key` if it does not exist; return whether this call created it."""
        path = self._path(key)
        with self._writing(path, data):
            created = False
            if not path.exists():
                with self._staged(data) as staged:
                    created = _link(staged, path)
            # Also when another writer created it: its name must be on the disk before anybody builds on it.
            _flush_folder(path.parent)
        if not created and path.is_dir():
            raise _no_place(path)
        return created

    def create_content(self, pieces: Pieces, key: Callable[[], str]) -> bool:
        """As `create`, with a key that is asked for when the bytes are on the disk: its digest is made meanwhile."""
        try:
            with self._staged(pieces) as staged:
                path = self._path(key())
                _make_folder(path.parent)
                created = _link(staged, path)
                _flush_folder(path.parent)
        except OSError as error:
            raise _failure(self._path(key()), len(pieces), error) from error
        return created

    def swap(self, key: str, data: bytes, tag: str | None) -> bool:
        """Write `key` if it still has `tag` (None: does not exist); return whether it was written.

        A directory has no conditional update, so a lock of the kernel stands around read, compare and rename: it ends
        with its holder, and a killed writer blocks nobody.
        """
        path = self._path(key)
        with self._writing(path, data), _locked(self._refs_lock):
            try:
                _, current = self.read_tagged(key)
            except FileNotFoundError:
                current = None
            if current != tag:
                return False
            with self._staged(data) as staged:
                staged.replace(path)
            _flush_folder(path.parent)
        return True

    def read(self, key: str) -> bytes:
        """All bytes of `key`; FileNotFoundError when there is none."""
        with self._reading(key) as file:
            return file.read()

    def holds(self, key: str, pieces: Pieces) -> bool:
        """Whether `key` has these bytes and no others; FileNotFoundError when there is none."""
        with self._reading(key) as file:
            # Small runs, which stay in the processor's cache: a whole read takes four times as long.
            same = all(file.read(len(chunk)) == bytes(chunk) for chunk in pieces.chunks(_COMPARED_BYTES))
            return same and not file.read(1)

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """All bytes of `key` and the tag that `swap` compares."""
        data = self.read(key)
        return data, hashlib.sha256(data).hexdigest()

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """As a slice: fewer than `length` bytes, or none, where the object ends before."""
        with self._reading(key) as file:
            file.seek(offset)
            return file.read(max(0, min(length, os.fstat(file.fileno()).st_size - offset)))

    def size(self, key: str) -> int | None:
        """Size in bytes, None when there is no such key."""
        try:
            with self._reading(key) as file:
                return os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return None

    def modified(self, key: str) -> datetime | None:
        """When `key` was written, None when there is no such key."""
        try:
            with self._reading(key) as file:
                return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below the folder `prefix`, folder by folder in the order of their names."""
        top = self._path(prefix) if prefix else self._root
        for folder, folders, files in os.walk(top, onerror=_report_unreadable):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if is_key(key) and not path.is_symlink():
                    yield key

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens when it is not there."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _failure(path, 0, error) from error

    @contextmanager
    def _staged(self, data: bytes | Path | Pieces) -> Iterator[Path]:
        """A file with `data`, flushed to the disk; its name is gone afterwards."""
        self._staging.mkdir(exist_ok=True)
        path = self._staging / uuid.uuid4().hex
        with _locked(self._staging_lock, fcntl.LOCK_SH):
            try:
                with path.open("xb") as file:
                    if isinstance(data, Path):
                        with data.open("rb") as source:
                            shutil.copyfileobj(source, file)
                    elif isinstance(data, Pieces):
                        file.writelines(data.chunks(_WRITTEN_BYTES))
                    else:
                        file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                yield path
            finally:
                path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed writers left. Living ones share the lock, so nothing of theirs can be taken."""
        if not self._staging.is_dir():
            return
        with suppress(OSError), _locked(self._staging_lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for left in self._staging.iterdir():
                if _STAGED_NAME.fullmatch(left.name):
                    left.unlink()

    def _path(self, key: str) -> Path:
        """The file of `key`. A symbolic link on the way could lead out of the store, so none is followed."""
        path = self._root
        for segment in key.split("/"):
            path = path / segment
            _refuse_link(path)
        return path

    @contextmanager
    def _reading(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        try:
            with _open_plain_file(path) as file:
                yield file
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(key) from error
        except OSError as error:
            raise _failure(path, 0, error) from error

    @contextmanager
    def _writing(self, path: Path, data: bytes | Path) -> Iterator[None]:
        size_bytes = data.stat().st_size if isinstance(data, Path) else len(data)
        try:
            _make_folder(path.parent)
            yield
        except OSError as error:
            raise _failure(path, size_bytes, error) from error


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise DataError(
            f"{path} is a symbolic link; a store may hold none, it could lead out of it. Put the files themselves "
            "there, or mount the other disk."
        )


def _open_plain_file(path: Path) -> BinaryIO:
    # Not blocking: somebody else's pipe in the store must not hang a reader.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise FileNotFoundError(path)
    raise DataError(f"{path} is not a plain file. Remove it and run its stage again.")


def _link(staged: Path, path: Path) -> bool:
    try:
        os.link(staged, path)
    except FileExistsError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, kind)
        try:
            yield
        finally:
            # Said aloud, since closing does not end it while a process forked meanwhile has the descriptor too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _report_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise _failure(Path(error.filename), 0, error) from error


def _no_place(path: Path) -> UsageError:
    return UsageError(f"{path}: a directory cannot hold an object under this key and others below it. Rename one.")


def _failure(path: Path, size_bytes: int, error: OSError) -> OlivineError:
    if error.errno in _NO_ROOM:
        return DiskFullError(f"{path}: no room, {size_bytes} bytes needed. Free space and run again.")
    if error.errno in _NO_RIGHT:
        return ConfigError(
            f"{path}: not permitted ({error.strerror}). Check the rights of the directory, and that its file system "
            "has hard links and locks."
        )
    if error.errno in _NO_PLACE:
        return _no_place(path)
    return StoreError(f"{path}: {error.strerror or error}. Check the disk and run again.")
