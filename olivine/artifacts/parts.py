"""Parts: complete pieces of unfinished work, so that a killed stage goes on where it was. No reader ever sees them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from olivine.artifacts.digest import canonical_json, sha256_hex
from olivine.artifacts.manifest import Blob
from olivine.store import Store


class Part(BaseModel):
    """The data objects of a part, and whatever is needed to go on without its work (JSON)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blobs: tuple[Blob, ...]
    note: dict[str, Any]


def save_part(store: Store, key: str, blobs: list[Blob], note: dict[str, Any]) -> None:
    """Write a part: one line with the digest of the rest, then its JSON."""
    body = canonical_json({"blobs": [blob.model_dump(mode="json") for blob in blobs], "note": note})
    store.create(key, sha256_hex(body).encode() + b"\n" + body)


def load_part(store: Store, key: str) -> Part | None:
    """The part, None when there is none, or none that can be used: then it is removed, and the work done again."""
    try:
        part = _parse(store.read(key))
    except FileNotFoundError:
        return None
    if part is None or any(store.size(blob.key) != blob.size_bytes for blob in part.blobs):
        store.delete(key)
        return None
    return part


def read_part(store: Store, key: str) -> tuple[Blob, ...]:
    """The data objects that a part names, whether they are there or not; none where it cannot be read."""
    try:
        part = _parse(store.read(key))
    except FileNotFoundError:
        return ()
    return part.blobs if part else ()


def _parse(data: bytes) -> Part | None:
    digest, _, body = data.partition(b"\n")
    if digest != sha256_hex(body).encode():
        return None
    try:
        return Part.model_validate_json(body)
    except ValidationError:
        return None
