"""Read a pack of an artifact: one checked range read a keyframe."""

from __future__ import annotations

import functools

from olivine.artifacts import Artifact
from olivine.errors import DataError
from olivine.packs.cache import DiskCache
from olivine.packs.index import PackIndex
from olivine.packs.shard import split_members


class Pack:
    """Keyframes of one artifact, in the order of its index."""

    def __init__(self, artifact: Artifact, index: str = "index.parquet", cache: DiskCache | None = None) -> None:
        self.artifact, self._cache = artifact, cache
        self.index = PackIndex(artifact.read(index), f"{artifact.manifest.kind} {artifact.id[:12]} {index}")

    def __len__(self) -> int:
        return len(self.index)

    def head(self, keyframe: str) -> dict[str, bytes]:
        """The head members of a keyframe by suffix: its arrays, without images or masks."""
        return self._read(keyframe, "head_length", "head_sha256")

    def whole(self, keyframe: str) -> dict[str, bytes]:
        """All members of a keyframe by suffix."""
        return self._read(keyframe, "length", "sha256")

    def _read(self, keyframe: str, length: str, sha256: str) -> dict[str, bytes]:
        row = self.index.position(keyframe)
        if row is None:
            manifest = self.artifact.manifest
            raise DataError(
                f"keyframe {keyframe} is not in {manifest.kind} {manifest.id[:12]}: it was quarantined there, or the "
                "artifacts were made from different drives."
            )
        digest = self.index.value(sha256, row)
        fetch = functools.partial(
            self.artifact.read_range,
            self.index.value("shard", row),
            self.index.value("offset", row),
            self.index.value(length, row),
            digest,
        )
        return split_members(self._cache.get(digest, fetch) if self._cache else fetch())
