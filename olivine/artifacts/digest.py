"""Digests: of bytes, of files, of what determines an artifact."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from olivine.errors import DataError


def sha256_hex(data: bytes | Path) -> str:
    """SHA-256 of bytes or of a file, in hex."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """One byte string for one value: sorted keys, no spaces, UTF-8; the same again after reading it back.

    Raises:
        DataError: the value is not JSON, or holds a number that is not finite.
    """
    try:
        # Through JSON once, so that keys are sorted as the strings they become and not as the numbers they may be.
        plain = json.loads(json.dumps(value, allow_nan=False))
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"Not a value that JSON can hold: {error}. Use finite numbers, strings, lists.") from error


def artifact_id(stage: str, kind: str, inputs: dict[str, str], recipe: dict[str, Any], code: str) -> str:
    """The identity of an artifact: the digest of what determines it.

    Args:
        stage, kind: which stage makes what.
        inputs: id of each input by port.
        recipe: the whole resolved recipe of the stage, seed included.
        code: digest of the source code the stage may run (`olivine.artifacts.code`).
    """
    return sha256_hex(canonical_json({"stage": stage, "kind": kind, "inputs": inputs, "recipe": recipe, "code": code}))
