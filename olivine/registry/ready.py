"""Registering a drive, in two phases: its files first, then `_READY.json` with their digests. Without it, no drive.

    olivine registry add drive-0007 /data/drive-0007 --version v1.0 --store s3://bucket/prefix

Any S3 client may upload instead, to the same keys; the digests are checked before a file is used.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from olivine.artifacts import sha256_hex
from olivine.artifacts.manifest import Sha256
from olivine.errors import DataError, IntegrityError, UsageError
from olivine.registry.documents import Document, read_document
from olivine.store import Store
from olivine.store.keys import is_key

READY = "_READY.json"
_WORKERS = 8


def _plain_path(path: str) -> str:
    if not is_key(path) or path == READY:
        raise ValueError("not a plain relative path")
    return path


_DRIVE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+=@-]{0,79}$"
DriveName = Annotated[str, StringConstraints(pattern=_DRIVE_NAME)]
VersionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class ReadyFile(Document):
    """One raw file of a drive: its path in the data set, and what its bytes must be."""

    path: Annotated[str, StringConstraints(max_length=500), AfterValidator(_plain_path)]
    sha256: Sha256
    size_bytes: int = Field(ge=0)


class Ready(Document):
    """A drive whose upload is complete: a data set in nuScenes v1.0 layout, with its tables in the folder `version`."""

    schema_version: Literal[1] = 1
    drive: DriveName
    version: VersionName
    files: tuple[ReadyFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Ready:
        paths = {file.path for file in self.files}
        if len(paths) < len(self.files):
            raise ValueError("a file is listed twice")
        if not any(path.startswith(f"{self.version}/") for path in paths):
            raise ValueError(f"there are no tables in {self.version}/")
        return self


def ready_key(drive: str) -> str:
    """Where the word that a drive is complete stands."""
    return f"registry/drives/{drive}/{READY}"


def file_key(drive: str, path: str) -> str:
    """Where a raw file of a drive is."""
    return f"registry/files/{drive}/{path}"


def add_drive(store: Store, drive: str, folder: Path, version: str) -> Ready:
    """Upload the data set in `folder` as `drive`; a killed upload goes on when it is called again.

    Raises:
        UsageError: the folder or a name in it cannot be taken. DataError: the drive is there with other files.
    """
    if not re.match(_DRIVE_NAME, drive):
        raise UsageError(
            f"{drive!r} cannot be the name of a drive: give up to 80 letters, digits and . _ + = @ -, "
            "beginning with a letter or digit."
        )
    paths = _files_below(folder)
    if not any(path.startswith(f"{version}/") for path in paths):
        raise UsageError(f"{folder / version} holds no tables: say which folder does with --version.")
    with ThreadPoolExecutor(_WORKERS) as workers:
        files = tuple(workers.map(lambda path: _put(store, drive, folder, path), paths))
    ready = Ready(drive=drive, version=version, files=files)
    key = ready_key(drive)
    if not store.create(key, ready.to_json()) and read_document(store, key, Ready) != ready:
        raise DataError(f"{store.url}/{key}: drive {drive} is registered with other files. Give this one another name.")
    return ready


def read_file(store: Store, drive: str, file: ReadyFile) -> bytes:
    """The bytes of a raw file, checked for size and digest."""
    key = file_key(drive, file.path)
    try:
        data = store.read_range(key, 0, file.size_bytes + 1)
    except FileNotFoundError as error:
        raise DataError(f"{store.url}/{key} is missing. Upload drive {drive} again.") from error
    if len(data) != file.size_bytes or sha256_hex(data) != file.sha256:
        raise IntegrityError(f"{store.url}/{key}: not the bytes that {READY} promises. Remove it and upload it again.")
    return data


def _files_below(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give the data set of the drive.")
    paths = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or (path.is_file() and not is_key(name)) or name == READY:
            raise UsageError(f"{path}: cannot be part of a drive: a link, or a name that the store does not take.")
        if path.is_file():
            paths.append(name)
    return paths


def _put(store: Store, drive: str, folder: Path, path: str) -> ReadyFile:
    data = (folder / path).read_bytes()
    file = ReadyFile(path=path, sha256=sha256_hex(data), size_bytes=len(data))
    store.create(file_key(drive, path), data)
    # Read back: what was there before (an upload that was killed, or another one) may differ.
    read_file(store, drive, file)
    return file
