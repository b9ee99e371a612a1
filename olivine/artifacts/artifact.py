"""Reading an artifact: find it, read its bytes, and never use bytes that were not checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from olivine.artifacts.digest import sha256_hex
from olivine.artifacts.manifest import LARGEST_MANIFEST_BYTES, Blob, Manifest, manifest_key
from olivine.errors import IntegrityError, UsageError
from olivine.stages import BY_WORD, DETECTION_KINDS
from olivine.store import Store

_SHORTEST_PREFIX = 6
_MOST_SHOWN = 8


@dataclass(frozen=True)
class Artifact:
    """A published artifact and the store it lies in."""

    store: Store
    manifest: Manifest

    @property
    def id(self) -> str:
        """Identity of the artifact."""
        return self.manifest.id

    def require_made_from(self, port: str, given: Artifact) -> None:
        """Refuse to be used beside another artifact than the one it was made from.

        Raises:
            UsageError: this artifact's input `port` is not `given`.
        """
        made_from = self.manifest.inputs[port].id
        if made_from != given.id:
            raise UsageError(
                f"{self.manifest.kind} {self.id[:12]} was made from {port} {made_from[:12]}, not from {given.id[:12]}: "
                "give artifacts that belong together."
            )

    def read(self, path: str) -> bytes:
        """A whole data object, checked against the manifest."""
        return read_blob(self.store, self.manifest.blob(path))

    def read_range(self, path: str, offset: int, length: int, sha256: str) -> bytes:
        """A part of a data object, checked against its own digest (from the artifact's index).

        Raises:
            IntegrityError: the bytes are missing, short or not those that were written.
        """
        blob = self.manifest.blob(path)
        try:
            data = self.store.read_range(blob.key, offset, length)
        except FileNotFoundError as error:
            raise _missing(self.store, blob) from error
        if len(data) != length or sha256_hex(data) != sha256:
            raise IntegrityError(
                f"{self.store.url}/{blob.key} ({path}): bytes {offset} to {offset + length} are not those that were "
                f"written. Restore the object, or delete {self.manifest.key} and run `olivine {self.manifest.stage}`."
            )
        return data


def read_blob(store: Store, blob: Blob) -> bytes:
    """A whole data object, checked for size and digest."""
    try:
        data = store.read(blob.key)
    except FileNotFoundError as error:
        raise _missing(store, blob) from error
    if len(data) != blob.size_bytes or sha256_hex(data) != blob.sha256:
        raise IntegrityError(
            f"{store.url}/{blob.key} ({blob.path}): {len(data)} bytes that do not have the promised digest "
            f"(expected {blob.size_bytes} bytes). Restore the object from a copy, or delete it and run its stage again."
        )
    return data


def open_artifact(store: Store, stage: str, id: str) -> Artifact | None:
    """The artifact with this full id, None when it is not (yet) published.

    Raises:
        IntegrityError: there is a manifest, but it is damaged or was edited.
    """
    key = manifest_key(stage, id)
    try:
        # One byte more than allowed is enough to refuse a huge object without fetching it.
        data = store.read_range(key, 0, LARGEST_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        return None
    manifest = Manifest.from_json(data, f"{store.url}/{key}")
    if (manifest.stage, manifest.id) != (stage, id):
        raise IntegrityError(f"{store.url}/{key}: is the manifest of another artifact ({manifest.key}).")
    return Artifact(store, manifest)


def find_artifact(store: Store, stage: str, name: str, kind: str | None = None) -> Artifact:
    """The artifact of `stage` whose id starts with `name` (at least 6 characters).

    Args:
        store, stage, name: where to look, and for what.
        kind: only artifacts of this kind count: beside its product a stage keeps checkpoints and the like.

    Raises:
        UsageError: none or several match; the message lists what there is.
    """
    if len(name) == 64 and (artifact := open_artifact(store, stage, name)) and kind in (None, artifact.manifest.kind):
        return artifact
    ids = sorted({key.split("/")[1] for key in store.list(stage) if key.endswith("/manifest.json")})
    candidates = [id for id in ids if id.startswith(name)] if len(name) >= _SHORTEST_PREFIX else []
    matches = _of_kind(store, stage, candidates, kind)
    if len(matches) == 1:
        return matches[0]
    shown = matches or _of_kind(store, stage, ids, kind)
    maker = f"detect {stage}" if kind in DETECTION_KINDS else stage
    found = ", ".join(artifact.id[:12] for artifact in shown) or f"none: run `olivine {maker}` first"
    problem = "matches several" if matches else "is no"
    told = f"{name!r} {problem} {kind or BY_WORD[stage].makes} in {store.url}"
    if not any(True for word in BY_WORD for _ in store.list(word)):
        raise UsageError(f"{told}, which holds no artifact: is --store right? If it is, run `olivine {maker}` first.")
    other = None if matches or len(name) < _SHORTEST_PREFIX else _of_another_stage(store, name)
    known = f" (it is of kind {other.manifest.kind})" if other else ""
    raise UsageError(f"{told}{known}. Give an id or its first {_SHORTEST_PREFIX} or more characters; here: {found}.")


def _of_another_stage(store: Store, name: str) -> Artifact | None:
    """The artifact that an id given in the wrong place means, where it is one."""
    places = (key.split("/") for stage in BY_WORD for key in store.list(stage) if key.endswith("/manifest.json"))
    return next((open_artifact(store, stage, id) for stage, id, _ in places if id.startswith(name)), None)


def _of_kind(store: Store, stage: str, ids: Iterable[str], kind: str | None) -> list[Artifact]:
    """The first few artifacts with these ids that are of the kind, or of any."""
    opened = (open_artifact(store, stage, id) for id in ids)
    fitting = (artifact for artifact in opened if artifact and kind in (None, artifact.manifest.kind))
    return list(itertools.islice(fitting, _MOST_SHOWN))


def _missing(store: Store, blob: Blob) -> IntegrityError:
    return IntegrityError(
        f"{store.url}/{blob.key} ({blob.path}) is missing. Restore it from a copy, or run its stage again."
    )
