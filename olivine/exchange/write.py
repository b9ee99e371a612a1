"""Write a file or a folder whole or not at all, and never over something that is there."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from olivine.errors import UsageError


def write_new_file(path: Path, data: bytes) -> None:
    """Write `path`, which must not exist; UsageError when it does. A killed writer leaves a `.partial` file at most."""
    partial = _prepare(path)
    try:
        _write(partial, data)
        # Unlike a rename, a link never replaces what somebody else has put there meanwhile.
        os.link(partial, path)
    except FileExistsError as error:
        raise _exists(path) from error
    finally:
        partial.unlink(missing_ok=True)
    _flush_folder(path.parent)


def write_new_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the folder `path` with these files by name; it must not exist, UsageError when it does."""
    partial = _prepare(path)
    partial.mkdir()
    try:
        for name, data in files.items():
            _write(partial / name, data)
        _flush_folder(partial)
        partial.rename(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise _exists(path) from error
    except OSError as error:
        raise (_exists(path) if path.exists() else error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _flush_folder(path.parent)


def _prepare(path: Path) -> Path:
    """A name beside `path` for what is not yet whole."""
    if path.exists() or path.is_symlink():
        raise _exists(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists already, and nothing is overwritten: choose another name or remove it.")
