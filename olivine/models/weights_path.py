"""Where a recipe says that weights are: a path, the same as a file:/// URI, or a file or folder in object storage.

What lies in object storage is read once and kept in the cache, under its digest. Nothing comes from anywhere else.
"""

from __future__ import annotations

import os
import shutil
import uuid
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from olivine.artifacts import sha256_hex
from olivine.cache import cache_root
from olivine.errors import ConfigError, IntegrityError, UsageError
from olivine.store import Store, open_store

WEIGHTS_VARIABLE = "OLIVINE_WEIGHTS"
"""Names the only prefix of object storage from which weights are read, as s3://bucket/weights."""

_PIECE_BYTES = 1 << 26


def cache_folder() -> Path:
    """The folder `weights` of the cache, whether it exists or not."""
    return cache_root() / "weights"


def weights_path(weights: str, digest: str | None) -> Path:
    """The path of `weights` on this machine; for those in object storage, where `place_weights` puts them.

    Raises:
        ValueError: a URI of another kind.
    """
    if weights.startswith("s3://"):
        return cache_folder() / (digest or "") / weights.rstrip("/").rpartition("/")[2]
    if "://" in weights and not weights.startswith("file:///"):
        raise ValueError(
            f"weights are read from a path, a file:/// URI or s3://, never downloaded from elsewhere: not {weights}"
        )
    parts = urlsplit(weights)
    return Path(unquote(parts.path) if parts.scheme == "file" else weights)


def place_weights(weights: str, digest: str) -> Path:
    """The path of `weights` on this machine, where those in object storage are now, if they were not before.

    Raises:
        UsageError: an s3:// URI outside of OLIVINE_WEIGHTS. ConfigError: there is nothing, or it cannot be read or
            kept. IntegrityError: it has another digest; nothing is kept then.
    """
    path = weights_path(weights, digest)
    if not weights.startswith("s3://"):
        return path
    store, key = _locate(weights)
    if path.exists():
        if weights_digest(path) == digest:
            return path
        # A copy that was damaged since, by a power cut perhaps: nobody can repair it but by reading it again.
        shutil.rmtree(path.parent)
    unfinished = path.parent.with_name(f"{digest}.{uuid.uuid4().hex}")
    try:
        unfinished.mkdir(parents=True)
        _copy(store, key, unfinished / path.name, weights)
        found = weights_digest(unfinished / path.name)
        if found != digest:
            raise IntegrityError(
                f"{weights} has sha256 {found}, the recipe says {digest}: refused before its first use."
            )
        path.parent.mkdir(exist_ok=True)
        _publish(unfinished / path.name, path)
    except OSError as error:
        raise ConfigError(f"{weights} cannot be kept in the cache: {error}. OLIVINE_CACHE names its folder.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return path


def weights_digest(path: Path) -> str:
    """SHA-256 (hex) of a file; of a folder: of the lines that `sha256sum` prints of its files in the order of names.

    So `(cd FOLDER && LC_ALL=C sha256sum *) | sha256sum` is the same.

    Raises:
        ConfigError: it cannot be read, or a folder holds no files.
    """
    try:
        if not path.is_dir():
            return sha256_hex(path)
        files = sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
        lines = [f"{sha256_hex(file)}  {file.name}\n" for file in files]
    except OSError as error:
        raise ConfigError(f"The weights cannot be read: {error}. Nothing is downloaded.") from error
    if not lines:
        raise ConfigError(f"{path} holds no files: give the folder of the weights.")
    return sha256("".join(lines).encode()).hexdigest()


def _locate(weights: str) -> tuple[Store, str]:
    """The store at the configured prefix, and the key in it."""
    prefix = os.environ.get(WEIGHTS_VARIABLE, "").rstrip("/")
    if not prefix.startswith("s3://") or not weights.startswith(prefix + "/"):
        allowed = f"those below {prefix}" if prefix else "none, for it is not set"
        raise UsageError(
            f"{weights}: of object storage only the weights that {WEIGHTS_VARIABLE} names are read: {allowed}."
        )
    return open_store(prefix), weights.removeprefix(prefix + "/").rstrip("/")


def _publish(unfinished: Path, path: Path) -> None:
    try:
        unfinished.rename(path)
    except OSError:
        # Another process of this machine was first, with the same bytes.
        if not path.exists():
            raise


def _copy(store: Store, key: str, target: Path, weights: str) -> None:
    """An object as a file, or the objects of a folder as a folder of files."""
    size_bytes = store.size(key)
    if size_bytes is not None:
        _copy_object(store, key, size_bytes, target)
        return
    names = (found.removeprefix(f"{key}/") for found in store.list(key))
    # Files that `weights_digest` leaves out, and the folders in it, are no part of it.
    inside = [f"{key}/{name}" for name in names if "/" not in name and not name.startswith(".")]
    if not inside:
        raise ConfigError(f"{weights}: there is no such object or folder.")
    target.mkdir()
    for found in inside:
        _copy_object(store, found, store.size(found) or 0, target / found.rpartition("/")[2])


def _copy_object(store: Store, key: str, size_bytes: int, target: Path) -> None:
    with target.open("xb") as file:
        for start in range(0, size_bytes, _PIECE_BYTES):
            file.write(store.read_range(key, start, min(_PIECE_BYTES, size_bytes - start)))
