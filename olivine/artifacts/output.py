"""Writing an artifact: data first, under their digests and read back; the manifest last, by one create-only put."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from olivine.artifacts.artifact import Artifact, open_artifact, read_blob
from olivine.artifacts.code import code_version, library_versions, package_of
from olivine.artifacts.digest import artifact_id, sha256_hex
from olivine.artifacts.environment import image_digest
from olivine.artifacts.manifest import Blob, CodeVersion, Manifest, Quarantined, data_digest
from olivine.artifacts.parts import load_part, save_part
from olivine.artifacts.provenance import PASSING_KINDS, write_provenance
from olivine.artifacts.record import RunRecorder
from olivine.artifacts.signatures import check_signing_key
from olivine.errors import IntegrityError, UsageError
from olivine.store import Pieces, Store


@dataclass
class Output:
    """An artifact in the making. Nothing of it exists for readers until `publish`."""

    store: Store
    stage: str
    kind: str
    inputs: dict[str, Manifest]
    recipe: dict[str, Any]
    seed: int
    recorder: RunRecorder
    data: dict[str, Blob] = field(default_factory=dict)
    _found: list[Blob] = field(default_factory=list)
    """Data objects that were there already: `olivine gc` may take one away before there is a manifest that needs it."""
    passed_over: set[str] = field(default_factory=set)
    """Ids of its own damaged checkpoints that this run did not go on from: its next one takes their place."""

    @property
    def id(self) -> str:
        """Identity that the finished artifact will have."""
        inputs = {port: manifest.id for port, manifest in self.inputs.items()}
        return artifact_id(self.stage, self.kind, inputs, self.recipe, self._code().digest)

    def put(self, path: str, data: bytes | Pieces) -> Blob:
        """Write a data object under its digest, read it back, and add it to the artifact."""
        blob, created = _write_blob(self.store, path, data)
        self.data[path] = blob
        if not created:
            self._found.append(blob)
        return blob

    def save_part(self, name: str, paths: list[str], note: dict[str, Any]) -> None:
        """Keep a complete part of the work, so that a killed stage goes on after it.

        Args:
            name: name of the part, the same in every run with the same id.
            paths: data objects already `put` that belong to it.
            note: whatever is needed to go on without the work (JSON).
        """
        save_part(self.store, self._part_key(name), [self.data[path] for path in paths], note)

    def load_part(self, name: str) -> dict[str, Any] | None:
        """The note of a part that an earlier run completed (its data objects join this artifact), else None."""
        part = load_part(self.store, self._part_key(name))
        if part is None:
            return None
        self.data.update({blob.path: blob for blob in part.blobs})
        self._found += part.blobs
        return part.note

    def drop_part(self, name: str) -> None:
        """Forget a part that is no longer needed; its data objects stay."""
        self.store.delete(self._part_key(name))

    def publish(
        self,
        counts: dict[str, int],
        summary: dict[str, Any],
        licences: tuple[str, ...],
        quarantined: tuple[Quarantined, ...] = (),
    ) -> Artifact:
        """Write the manifest, the record of the run and its provenance; return what is now in the store.

        In `summary` a number that is not finite becomes null (the IoU of a category that never occurs, say).
        When another run published the same artifact first, its manifest is returned and ours is dropped.

        Raises:
            IntegrityError: the other run's data differ from ours: the stage is not reproducible here; or a data object
                was deleted meanwhile.
        """
        if gone := next((blob for blob in self._found if self.store.size(blob.key) is None), None):
            raise IntegrityError(
                f"{self.store.url}/{gone.key} ({gone.path}): was deleted meanwhile. Run the stage again."
            )
        data = tuple(sorted(self.data.values(), key=lambda blob: blob.path))
        manifest = Manifest(
            stage=self.stage,
            kind=self.kind,
            id=self.id,
            data_digest=data_digest(data),
            inputs={port: given.input_ref() for port, given in self.inputs.items()},
            recipe=self.recipe,
            seed=self.seed,
            code=self._code(),
            image_digest=image_digest(),
            libraries=library_versions(),
            counts=counts,
            quarantined=quarantined,
            licences=licences,
            summary=summary,
            data=data,
        ).seal()
        self.store.create(manifest.key, manifest.to_json())
        published = open_artifact(self.store, self.stage, manifest.id)
        if published is None:
            raise IntegrityError(f"{self.store.url}/{manifest.key}: was deleted while it was published. Run again.")
        measured = self.recorder.finish(self.store, published.manifest, manifest.data_digest)
        if published.manifest.data_digest != manifest.data_digest:
            raise IntegrityError(
                f"{self.store.url}/{manifest.key}: another run published other bytes for the same inputs, recipe and "
                "code. Compare the run records of both (host, device, threads); the first one stands."
            )
        if self.kind not in PASSING_KINDS:
            write_provenance(self.store, published.manifest, measured)
        return published

    def _code(self) -> CodeVersion:
        return code_version(package_of(self.stage, self.kind))

    def _part_key(self, name: str) -> str:
        return f"parts/{self.id}/{name}.json"


def begin(
    store: Store,
    stage: str,
    kind: str,
    inputs: dict[str, Manifest],
    recipe: dict[str, Any],
    seed: int,
) -> Artifact | Output:
    """The finished artifact when the same inputs, recipe and code already made it, else a fresh Output.

    Raises:
        ConfigError: statements are to be signed, and the key cannot.
    """
    check_signing_key()
    output = Output(store, stage, kind, inputs, recipe, seed, RunRecorder())
    return open_artifact(store, stage, output.id) or output


def put_blob(store: Store, path: str, data: bytes) -> Blob:
    """Write bytes under their own digest and read them back.

    Raises:
        UsageError: `path` is no plain relative name.
        IntegrityError: what was read back is not what was written.
    """
    return _write_blob(store, path, data)[0]


def _write_blob(store: Store, path: str, data: bytes | Pieces) -> tuple[Blob, bool]:
    """See `put_blob`; also whether the object was not there before."""
    pieces = data if isinstance(data, Pieces) else Pieces([data])
    if isinstance(data, Pieces):
        # Many bytes, and new ones as a rule: the digest is made while they are written.
        with ThreadPoolExecutor(1) as beside:
            digest = beside.submit(data.sha256)
            created = store.create_content(data, lambda: _blob(path, digest.result(), len(data)).key)
        blob = _blob(path, digest.result(), len(data))
    else:
        blob = _blob(path, sha256_hex(data), len(data))
        created = store.create(blob.key, data)
    if not created:
        try:
            read_blob(store, blob)
            return blob, False
        except IntegrityError:
            # An object under a content address that has other content is damage, not data: put the right bytes back.
            store.delete(blob.key)
            store.create_content(pieces, lambda: blob.key)
    _read_back(store, blob, pieces)
    return blob, True


def _blob(path: str, sha256: str, size_bytes: int) -> Blob:
    try:
        return Blob(path=path, sha256=sha256, size_bytes=size_bytes)
    except ValidationError as error:
        raise UsageError(
            f"{path[:200]!r} cannot be a name in an artifact: use letters, digits and ._=- between '/'."
        ) from error


def _read_back(store: Store, blob: Blob, pieces: Pieces) -> None:
    """Compare what was written with what is there: several times as fast as hashing it again, and as strict."""
    try:
        if store.holds(blob.key, pieces):
            return
    except FileNotFoundError:
        pass
    # Says what is wrong, in the words of every reader.
    read_blob(store, blob)
