"""What raw drives are, seen from outside: tables by content, sensor files by name and size.

It decides whether an earlier ingest can be reused. The files' content is covered by the digests of the artifact.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from olivine.artifacts import sha256_hex
from olivine.errors import DataError
from olivine.ingest.keyframes import KeyframeTable, resolve_file


def source_digest(root: Path, version: str, table: KeyframeTable) -> str:
    """SHA-256 over the tables' bytes and over name and size of every sensor and label file of the keyframes."""
    digest = hashlib.sha256()
    for path in sorted((root / version).glob("*.json")):
        digest.update(f"{path.name}\0{sha256_hex(path)}\n".encode())
    for keyframe in table:
        files = [shot.file for shot in keyframe.shots.values()]
        for file in [*files, keyframe.lidarseg_file]:
            if file is not None:
                digest.update(f"{file}\0{_size(root, file)}\n".encode())
    return digest.hexdigest()


def _size(root: Path, file: str) -> int:
    """Size in bytes; -1 for a file that is not there or may not be opened: its keyframe is quarantined later."""
    try:
        return resolve_file(root, file).stat().st_size
    except (OSError, DataError):
        return -1
