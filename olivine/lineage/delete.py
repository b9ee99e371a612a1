"""Removing garbage: the plan is written down first, then manifests go, then what they held; then each is asked for.

Records are never removed: the statement of an artifact's provenance and the records of its runs tell what it was. What
led to it in the index goes, so that no answer names what is not there.

    records/gc/<collection>/planned.json           by whom, when, by which rule, and every key that is to go
    records/gc/<collection>/done.json              how many went, and that none of them is there any more
    records/deleted/<stage>/<id>/<collection>.json why one artifact went, and its digests
"""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from olivine.artifacts import canonical_json, sha256_hex
from olivine.artifacts.deleted import DELETED
from olivine.artifacts.provenance import index_keys
from olivine.errors import StoreError
from olivine.lineage.gc import Doomed, Garbage
from olivine.store import Store

GC = "records/gc"
_MOST_SHOWN = 8


def delete_garbage(
    store: Store, garbage: Garbage, rule: dict[str, Any], *, by: str = "", on_key: Callable[[], None] = lambda: None
) -> str:
    """Remove what was found; return the folder of the records that say so.

    A run that was killed half-way leaves data objects of nobody, which the next one finds.

    Args:
        store, garbage: where, and what `find_garbage` found there.
        rule: what the collection was told, for the record.
        by: who decided; default: the user.
        on_key: called after each removed key.

    Raises:
        StoreError: a key is still there afterwards; no record says that it went.
    """
    collection = f"{GC}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:12]}"
    keys = keys_of(garbage)
    planned = {
        "at": datetime.now(UTC).isoformat(),
        "by": by or getpass.getuser(),
        "rule": rule,
        "size_bytes": garbage.size_bytes,
        "keys": keys,
    }
    store.create(f"{collection}/planned.json", canonical_json(planned))
    for item in garbage.artifacts:
        _tell(store, item, collection, planned)
    for key in keys:
        store.delete(key)
        on_key()
    left = [key for key in keys if store.size(key) is not None]
    if left:
        raise StoreError(
            f"{store.url}: {len(left)} of {len(keys)} objects are still there after they were deleted (a lock on the "
            f"bucket?): {', '.join(left[:_MOST_SHOWN])}. What was to go stands in {collection}/planned.json."
        )
    done = {
        "at": datetime.now(UTC).isoformat(),
        "keys": len(keys),
        "planned_sha256": sha256_hex(canonical_json(planned)),
    }
    store.create(f"{collection}/done.json", canonical_json(done | {"none_is_there": True}))
    return collection


def keys_of(garbage: Garbage) -> list[str]:
    """Every key that goes: manifests first, so that an artifact is gone before anything that it consists of."""
    manifests = [item.manifest for item in garbage.artifacts]
    index = [key for manifest in manifests for key in index_keys(manifest)]
    return [*(manifest.key for manifest in manifests), *index, *garbage.objects, *garbage.others]


def _tell(store: Store, item: Doomed, collection: str, planned: dict[str, Any]) -> None:
    manifest = item.manifest
    record = {
        "at": planned["at"],
        "by": planned["by"],
        "reason": item.reason,
        "finished": item.finished,
        "kind": manifest.kind,
        "manifest_digest": manifest.manifest_digest,
        "data_digest": manifest.data_digest,
        "counts": manifest.counts,
        "collection": collection,
    }
    name = collection.removeprefix(f"{GC}/")
    store.create(f"{DELETED}/{manifest.stage}/{manifest.id}/{name}.json", canonical_json(record))
