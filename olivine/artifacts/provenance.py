"""The provenance of an artifact: an in-toto Statement with a SLSA predicate, and keys that lead to it from both ends.

Shapes: in-toto Statement v1 (https://in-toto.io/Statement/v1) and SLSA provenance v1 (https://slsa.dev/provenance/v1).
A statement is written once, under its own digest. Listing a folder of the index answers what a thing was used for,
without any database:

    records/provenance/<sha256>.json              the statement
    records/signatures/<sha256>/<key>.json        signatures of it, where a key is named
    records/by-subject/<id>/<sha256>              which statements are about this artifact
    records/by-material/<id>/<stage>/<id>         what was made from this artifact
    records/by-fact/<sort>/<value>/<stage>/<id>   what was made from this drive, by this commit, with these weights
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from olivine.artifacts.digest import canonical_json, sha256_hex
from olivine.artifacts.record import records_folder
from olivine.artifacts.signatures import sign
from olivine.stages import SENSOR_KINDS
from olivine.store.keys import is_key

if TYPE_CHECKING:
    from olivine.artifacts.manifest import Manifest
    from olivine.store import Store

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:olivine:stage:v1"
BUILDER = "urn:olivine:stages"

PASSING_KINDS = frozenset({"checkpoint"})
"""Kinds that come and go while a stage works. They get no statement: nothing is made from them but their own stage's
product."""

PROVENANCE, BY_SUBJECT, BY_MATERIAL, BY_FACT = (
    f"records/{name}" for name in ("provenance", "by-subject", "by-material", "by-fact")
)


def write_provenance(store: Store, manifest: Manifest, run: dict[str, Any]) -> str:
    """Write the statement of a published artifact and the keys that lead to it; return the statement's key.

    Nothing that exists is changed: what a killed run left out is added by the next one.

    Args:
        store: where the artifact is.
        manifest: as it was published.
        run: the facts of the run (`RunRecorder.measure`).
    """
    statement = canonical_json(build_statement(store, manifest, run))
    digest = sha256_hex(statement)
    store.create(statement_key(digest), statement)
    sign(store, digest, statement)
    # The index last: a key leads to something that is there.
    store.create(f"{BY_SUBJECT}/{manifest.id}/{digest}", b"")
    write_index(store, manifest)
    return statement_key(digest)


def write_index(store: Store, manifest: Manifest) -> None:
    """Write the keys that lead from what an artifact was made from to the artifact."""
    for key in index_keys(manifest):
        store.create(key, b"")


def index_keys(manifest: Manifest) -> list[str]:
    """The keys that lead from what an artifact was made from to the artifact."""
    end = f"{manifest.stage}/{manifest.id}"
    materials = [f"{BY_MATERIAL}/{ref.id}/{end}" for ref in manifest.inputs.values()]
    return materials + [f"{fact_folder(*fact)}/{end}" for fact in facts_of(manifest)]


def statement_key(digest: str) -> str:
    """Where the statement with this digest is."""
    return f"{PROVENANCE}/{digest}.json"


def fact_folder(sort: str, value: str) -> str:
    """Folder of the index of a fact."""
    return f"{BY_FACT}/{sort}/{segment(value)}"


def segment(value: str) -> str:
    """A value as one part of a key; one that cannot be stands there as its digest."""
    plain = is_key(value) and "/" not in value and not value.startswith("sha256-")
    return value if plain else f"sha256-{hashlib.sha256(value.encode()).hexdigest()}"


def facts_of(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What an artifact was made of besides artifacts, as (sort, value): drives, weights by digest, commit."""
    if manifest.kind in SENSOR_KINDS:
        for drive in manifest.summary.get("drives", []):
            yield "drive", str(drive)
    for digest in weights_of(manifest):
        yield "weights", digest
    if manifest.code.commit:
        yield "commit", manifest.code.commit


def weights_of(manifest: Manifest) -> list[str]:
    """SHA-256 of every file of foreign weights that recipe or summary name.

    It stands in fields called `weights_sha256`, or `sha256` beside `weights`.
    """
    found: dict[str, None] = {}

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                names_weights = name == "weights_sha256" or (name == "sha256" and bool(value.get("weights")))
                if names_weights and isinstance(item, str):
                    found[item] = None
                visit(item)
        elif isinstance(value, list | tuple):
            for item in value:
                visit(item)

    visit(manifest.recipe)
    visit(manifest.summary)
    return list(found)


def build_statement(store: Store, manifest: Manifest, run: dict[str, Any]) -> dict[str, Any]:
    """The statement: subjects with digests, parameters, materials, and who ran it when at what cost."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": manifest.key,
                "digest": {"sha256": sha256_hex(store.read(manifest.key))},
                "annotations": {"kind": manifest.kind, "counts": manifest.counts, "licences": manifest.licences},
            },
            *({"name": blob.path, "digest": {"sha256": blob.sha256}} for blob in manifest.data),
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "stage": manifest.stage,
                    "recipe": manifest.recipe,
                    "seed": manifest.seed,
                    "inputs": {port: ref.id for port, ref in manifest.inputs.items()},
                },
                "internalParameters": {},
                "resolvedDependencies": list(_dependencies(store, manifest)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"olivine": manifest.code.version, **manifest.libraries}},
                "metadata": {
                    "invocationId": run["run"],
                    "startedOn": run["started"],
                    "finishedOn": run["ended"],
                },
                "byproducts": [
                    {
                        "name": "run",
                        "uri": f"{records_folder(manifest)}/{run['run']}.json",
                        "annotations": {name: run[name] for name in run if name not in ("run", "started", "ended")},
                    }
                ],
            },
        },
    }


def _dependencies(store: Store, manifest: Manifest) -> Iterator[dict[str, Any]]:
    for port, ref in manifest.inputs.items():
        key = f"{ref.stage}/{ref.id}/manifest.json"
        yield {"name": port, "uri": key, "digest": {"sha256": sha256_hex(store.read(key))}}
    code = manifest.code
    annotations = {"dirty": code.dirty} if code.commit else {}
    digest = {"sha256": code.digest} | ({"gitCommit": code.commit} if code.commit else {})
    yield {"name": "sources", "uri": "urn:olivine:sources", "digest": digest, "annotations": annotations}
    if manifest.image_digest:
        algorithm, _, value = manifest.image_digest.rpartition(":")
        yield {"name": "image", "uri": "urn:olivine:image", "digest": {algorithm or "sha256": value}}
    for weights in weights_of(manifest):
        yield {"name": "weights", "uri": "urn:olivine:weights", "digest": {"sha256": weights}}
    if manifest.kind in SENSOR_KINDS:
        yield {
            "name": "raw drives",
            "uri": "urn:olivine:drives",
            "digest": {"sha256": manifest.recipe.get("source", manifest.data_digest)},
            "annotations": {"drives": manifest.summary.get("drives", [])},
        }
