"""Small JSON documents of the registry: read with a limit, checked, and named by the digest of what they say."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from olivine.artifacts import canonical_json, sha256_hex
from olivine.errors import IntegrityError
from olivine.store import Ref, Store

_LARGEST_BYTES = 64 << 20


class Document(BaseModel):
    """What all documents share: they do not change, and hold no field that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> bytes:
        """The one text of this document."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of that text."""
        return sha256_hex(self.to_json())


D = TypeVar("D", bound=Document)


def read_document(store: Store, key: str, kind: type[D]) -> D:
    """The document at `key`.

    Raises:
        FileNotFoundError: there is none. IntegrityError: it is not what it should be.
    """
    return parse_document(store.read_range(key, 0, _LARGEST_BYTES + 1), kind, f"{store.url}/{key}")


def parse_document(data: bytes, kind: type[D], where: str) -> D:
    """A document from its bytes, see `read_document`."""
    if len(data) > _LARGEST_BYTES:
        raise IntegrityError(f"{where}: larger than {_LARGEST_BYTES} bytes, not a {kind.__name__}. Remove it.")
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:200] or "text"
        raise IntegrityError(
            f"{where}: not a {kind.__name__} ({field}: {first['msg'][:200]}). Restore it from a copy, or remove it."
        ) from error


def move(store: Store, name: str, content: Document, expected: Ref | None) -> bool:
    """Move a ref to `content`, which must name its writer; False when somebody else moved it first.

    On S3 the answer to a move can be lost and the request repeated, which then finds the ref moved, by us.
    """
    text = content.to_json()
    if store.move_ref(name, text, expected):
        return True
    now = store.read_ref(name)
    return now is not None and now.content == text
