"""What raw drives are, seen from outside: tables and labels by content, sensor files by name and size.

It decides whether an earlier ingest can be reused. A label that is corrected keeps the size of its file, so labels are
read: one byte a point, beside the 20 of the sweep. The content of the rest is covered by the digests of the artifact.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from olivine.artifacts import file_digests, sha256_hex
from olivine.errors import DataError
from olivine.ingest.keyframes import KeyframeTable, leaves_root, resolve_file


def source_digest(root: Path, version: str, table: KeyframeTable) -> str:
    """SHA-256 over the bytes of tables and label files, and over name and size of the keyframes' sensor files."""
    digest = hashlib.sha256()
    for path in sorted((root / version).glob("*.json")):
        digest.update(f"{path.name}\0{sha256_hex(path)}\n".encode())
    for keyframe in table:
        for shot in keyframe.shots.values():
            digest.update(f"{shot.file}\0{_size(root, shot.file)}\n".encode())
    named = [file for file in table.columns["lidarseg_file"].to_pylist() if file is not None and not leaves_root(file)]
    for file, sha256 in zip(named, file_digests([root / file for file in named], "ingest: labels"), strict=True):
        digest.update(f"{file}\0{sha256}\n".encode())
    return digest.hexdigest()


def _size(root: Path, file: str) -> int:
    """Size in bytes; -1 for a file that is not there or may not be opened: its keyframe is quarantined later."""
    try:
        return resolve_file(root, file).stat().st_size
    except (OSError, DataError):
        return -1
