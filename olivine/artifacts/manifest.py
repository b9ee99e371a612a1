"""The manifest: what an artifact is, what it was made from and which bytes belong to it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from olivine.artifacts.digest import artifact_id, canonical_json, sha256_hex
from olivine.errors import DataError, IntegrityError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# A name inside an artifact: plain segments, so that extracting one can never leave its folder.
DataPath = Annotated[
    str,
    StringConstraints(max_length=500, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*$"),
]
LARGEST_MANIFEST_BYTES = 32 << 20
_UNSEALED = "0" * 64
_REMEDY = "Restore it from a copy, or delete it and run its stage again."


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Blob(_Frozen):
    """One data object: its name inside the artifact and its content address `blobs/sha256/<hex>`."""

    path: DataPath
    sha256: Sha256
    size_bytes: int = Field(ge=0)

    @property
    def key(self) -> str:
        """Where the bytes are in the store."""
        return f"blobs/sha256/{self.sha256}"


class InputRef(_Frozen):
    """An artifact that this one was made from, and the digest that its whole manifest had then."""

    stage: Word
    kind: Word
    id: Sha256
    data_digest: Sha256
    manifest_digest: Sha256


class CodeVersion(_Frozen):
    """Which code ran. `digest` decides identity; commit and dirty flag are for people."""

    version: str
    digest: Sha256
    commit: str | None
    dirty: bool | None


class Quarantined(_Frozen):
    """A frame that was left out, and why."""

    frame: str
    reason: str


class Manifest(_Frozen):
    """An artifact exists if and only if its manifest does, at `<stage>/<id>/manifest.json`.

    `id` says what determined it, `data_digest` what came out, `manifest_digest` (set by `seal`) covers every field:
    counts and summary too cannot be changed unseen.
    """

    schema_version: Literal[1] = 1
    stage: Word
    kind: Word
    id: Sha256
    data_digest: Sha256
    inputs: dict[Word, InputRef]
    recipe: dict[str, Any]
    seed: int
    code: CodeVersion
    image_digest: str | None
    libraries: dict[str, str]
    counts: dict[str, int]
    quarantined: tuple[Quarantined, ...] = ()
    licences: tuple[str, ...]
    summary: dict[str, Any]
    data: tuple[Blob, ...]
    manifest_digest: Sha256 = _UNSEALED

    @property
    def key(self) -> str:
        """Where the manifest is in the store."""
        return manifest_key(self.stage, self.id)

    def input_ref(self) -> InputRef:
        """How a manifest made from this artifact names it."""
        return InputRef(
            stage=self.stage,
            kind=self.kind,
            id=self.id,
            data_digest=self.data_digest,
            manifest_digest=self.manifest_digest,
        )

    def blob(self, path: str) -> Blob:
        """The data object named `path`; KeyError when the artifact has none."""
        for blob in self.data:
            if blob.path == path:
                return blob
        raise KeyError(f"{self.kind} {self.id[:12]} holds no {path!r}")

    def seal(self) -> Manifest:
        """The same manifest with the digest of all its fields."""
        return self.model_copy(update={"manifest_digest": _digest_of_fields(self.model_dump(mode="json"))})

    def to_json(self) -> bytes:
        """Canonical bytes of the manifest."""
        return canonical_json(self.model_dump(mode="json")) + b"\n"

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """Parse and check: schema, the digest of all fields, that of the data, and the id.

        Raises:
            IntegrityError: the bytes are no manifest, or it was edited after it was published.
        """
        if len(data) > LARGEST_MANIFEST_BYTES:
            raise IntegrityError(f"{where}: larger than {LARGEST_MANIFEST_BYTES} bytes, not a manifest. {_REMEDY}")
        try:
            manifest = cls.model_validate_json(data)
            sealed = manifest.manifest_digest == _digest_of_fields(json.loads(data))
            sound = sealed and manifest.id == manifest._expected_id()
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])[:200] or "text"
            raise IntegrityError(f"{where}: not a manifest ({field}: {first['msg'][:200]}). {_REMEDY}") from error
        except DataError as error:
            raise IntegrityError(f"{where}: not a manifest ({str(error)[:200]}). {_REMEDY}") from error
        if not sound or manifest.data_digest != data_digest(manifest.data):
            raise IntegrityError(f"{where}: was changed after it was published (its digests do not match). {_REMEDY}")
        return manifest

    def _expected_id(self) -> str:
        inputs = {port: ref.id for port, ref in self.inputs.items()}
        return artifact_id(self.stage, self.kind, inputs, self.recipe, self.code.digest)


def manifest_key(stage: str, id: str) -> str:
    """`<stage>/<id>/manifest.json`."""
    return f"{stage}/{id}/manifest.json"


def data_digest(data: tuple[Blob, ...]) -> str:
    """One digest for all data objects of an artifact, by name and content."""
    return sha256_hex(canonical_json(sorted((blob.path, blob.sha256, blob.size_bytes) for blob in data)))


def _digest_of_fields(fields: dict[str, Any]) -> str:
    # Over the fields as they stand in the file, so that a later release with more fields still finds it whole.
    return sha256_hex(canonical_json({name: value for name, value in fields.items() if name != "manifest_digest"}))
