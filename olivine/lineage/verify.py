"""Verify: read everything reachable again, and hold manifests, records, statements and index against one another."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from olivine.artifacts import Artifact, Manifest, canonical_json, sha256_hex, verify
from olivine.artifacts.provenance import BY_SUBJECT, PREDICATE_TYPE, STATEMENT_TYPE, index_keys, statement_key
from olivine.artifacts.signatures import signed_by
from olivine.errors import UsageError
from olivine.lineage.source import Place, StoreSource, require_manifest
from olivine.lineage.trace import ancestors
from olivine.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_METADATA = {"run": "invocationId", "started": "startedOn", "ended": "finishedOn"}
"""Fields of a run's record and where a statement has them."""


def verify_lineage(store: Store, place: Place, keys: Mapping[str, Ed25519PublicKey] | None = None) -> list[str]:
    """Problems in an artifact and all behind it, one line each; empty when all is as it was published.

    Every byte of data is read and hashed; every manifest is compared with what those made from it and the records say
    of it; every statement must bear its own digest and fit its manifest; every edge must be in the index. With `keys`
    one of them must have signed each statement.
    """
    source = StoreSource(store)
    problems = verify(Artifact(store, require_manifest(source, place)))
    if problems:
        # What is behind a broken manifest cannot be walked.
        return problems
    # A manifest is compared with its own statement and with those of all that was made from it: read it once.
    digest_of = functools.cache(lambda key: sha256_hex(store.read(key)))
    for manifest in ancestors(source, place):
        problems += _check_statements(store, manifest, digest_of) + _check_index(store, manifest)
        if keys is not None:
            problems += _check_signatures(store, manifest, keys)
    return problems


def read_statements(store: Store, id: str) -> dict[str, bytes]:
    """The statements about an artifact by digest, unchecked; missing ones are empty."""
    found = {}
    for key in store.list(f"{BY_SUBJECT}/{id}"):
        digest = key.rsplit("/", 1)[1]
        try:
            found[digest] = store.read(statement_key(digest))
        except FileNotFoundError:
            found[digest] = b""
    return found


def _check_statements(store: Store, manifest: Manifest, digest_of: Callable[[str], str]) -> list[str]:
    statements = read_statements(store, manifest.id)
    if not statements:
        return [
            f"{manifest.key}: has no statement of its provenance. `olivine lineage repair` writes it from its records."
        ]
    problems = []
    for digest, data in statements.items():
        if sha256_hex(data) != digest:
            problems.append(f"{statement_key(digest)}: is missing or was changed. Restore it from a copy.")
        elif problem := _misfit(store, manifest, data, digest_of):
            problems.append(f"{statement_key(digest)}: {problem}")
    return problems


def _check_signatures(store: Store, manifest: Manifest, keys: Mapping[str, Ed25519PublicKey]) -> list[str]:
    return [
        f"{statement_key(digest)}: none of the {len(keys)} keys has signed it ({manifest.kind} {manifest.id[:12]})."
        for digest, data in read_statements(store, manifest.id).items()
        if not signed_by(store, digest, data, keys)
    ]


def _misfit(store: Store, manifest: Manifest, data: bytes, digest_of: Callable[[str], str]) -> str | None:
    """What a statement says that its artifact does not."""
    try:
        statement: dict[str, Any] = json.loads(data)
        subjects = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
        definition = statement["predicate"]["buildDefinition"]
        materials = {item["uri"]: item.get("digest", {}) for item in definition["resolvedDependencies"]}
        types = (statement["_type"], statement["predicateType"])
        parameters = definition["externalParameters"]
        runs = {item["uri"]: item["annotations"] for item in statement["predicate"]["runDetails"]["byproducts"]}
        metadata = statement["predicate"]["runDetails"]["metadata"]
        run = {name: metadata[key] for name, key in _METADATA.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"is no statement of provenance ({error})."
    if types != (STATEMENT_TYPE, PREDICATE_TYPE):
        return f"is of the types {types}, which are unknown here."
    expected = {blob.path: blob.sha256 for blob in manifest.data}
    if subjects != expected | {manifest.key: digest_of(manifest.key)}:
        return f"is about other bytes than {manifest.key} has."
    if (parameters.get("recipe"), parameters.get("seed")) != (manifest.recipe, manifest.seed):
        return f"tells of another recipe or seed than {manifest.key}."
    for ref in manifest.inputs.values():
        key = f"{ref.stage}/{ref.id}/manifest.json"
        if materials.get(key) != {"sha256": digest_of(key)}:
            return f"does not name its material {key} as it is now."
    published = {"artifact": manifest.input_ref().model_dump(), "data_digest": manifest.data_digest}
    for uri, measured in runs.items():
        if _read_or_empty(store, uri) != canonical_json(published | run | measured):
            return f"tells of another run than {uri}."
    return None


def _read_or_empty(store: Store, key: str) -> bytes:
    try:
        return store.read(key)
    except (FileNotFoundError, UsageError):
        return b""


def _check_index(store: Store, manifest: Manifest) -> list[str]:
    end = f"{manifest.stage}/{manifest.id}"
    return [
        f"{key}: is missing in the index, so that impact would not find {end}. `olivine lineage repair` adds it."
        for key in index_keys(manifest)
        if store.size(key) is None
    ]
