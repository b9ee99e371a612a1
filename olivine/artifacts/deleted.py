"""What `olivine gc` deleted: a record for each artifact, so that whoever asks for it is told."""

from __future__ import annotations

import json

from olivine.store import Store

DELETED = "records/deleted"


def told_of_deletion(store: Store, name: str) -> str | None:
    """A sentence about a deleted artifact whose id starts with `name`; None where no record tells of one."""
    for key in store.list(DELETED):
        stage, id = key.split("/")[2:4]
        if id.startswith(name):
            record = json.loads(store.read(key))
            return f"{stage} {id[:12]} was deleted by {record['by']} at {record['at'][:19]}: {record['reason']}"
    return None
