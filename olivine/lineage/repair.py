"""Write what is missing of records: of artifacts made before there were any, or by a run that was killed in between."""

from __future__ import annotations

from olivine.artifacts.provenance import BY_SUBJECT, PASSING_KINDS, write_index, write_provenance
from olivine.lineage.source import StoreSource
from olivine.store import Store


def repair(store: Store) -> dict[str, int]:
    """Add missing statements and index keys; nothing that exists is touched. Return how many of each were looked after.

    A statement is made from the newest record of a run: an artifact without one keeps its index keys alone and is
    counted as `without_record`.
    """
    source, counts = StoreSource(store), {"artifacts": 0, "statements": 0, "without_record": 0}
    for place in source.places():
        manifest = source.manifest(place)
        if manifest is None or manifest.kind in PASSING_KINDS:
            continue
        counts["artifacts"] += 1
        write_index(store, manifest)
        if any(True for _ in store.list(f"{BY_SUBJECT}/{manifest.id}")):
            continue
        run = source.run(manifest)
        if run is None:
            counts["without_record"] += 1
            continue
        measured = {name: value for name, value in run.items() if name not in ("artifact", "data_digest")}
        write_provenance(store, manifest, measured)
        counts["statements"] += 1
    return counts
