"""Artifacts: a manifest names the bytes, what they were made from, and by which code. No manifest, no artifact."""

from olivine.artifacts.artifact import Artifact, find_artifact, open_artifact
from olivine.artifacts.digest import artifact_id, canonical_json, file_digests, sha256_hex
from olivine.artifacts.manifest import Blob, CodeVersion, InputRef, Manifest, Quarantined
from olivine.artifacts.output import Output, begin
from olivine.artifacts.verify import verify

__all__ = [
    "Artifact",
    "Blob",
    "CodeVersion",
    "InputRef",
    "Manifest",
    "Output",
    "Quarantined",
    "artifact_id",
    "begin",
    "canonical_json",
    "file_digests",
    "find_artifact",
    "open_artifact",
    "sha256_hex",
    "verify",
]
