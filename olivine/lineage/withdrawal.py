"""What a withdrawal reaches: the artifacts that hold a drive, and everything made from them."""

from __future__ import annotations

from olivine.artifacts import Manifest
from olivine.artifacts.withdrawn import withdrawals
from olivine.lineage.source import Place, StoreSource
from olivine.lineage.trace import ancestors, descendants
from olivine.stages import SENSOR_KINDS
from olivine.store import Store


def affected(store: Store, drive: str) -> list[Manifest]:
    """Every artifact that a drive has reached, in the order of stages."""
    source = StoreSource(store)
    return descendants(source, source.holders("drive", drive))


def withdrawn_behind(store: Store, place: Place) -> list[str]:
    """A sentence for each withdrawn drive behind an artifact."""
    records = withdrawals(store)
    if not records:
        return []
    behind = [item for item in ancestors(StoreSource(store), place) if item.kind in SENSOR_KINDS]
    held = {str(drive) for item in behind for drive in item.summary.get("drives", [])}
    return [
        f"The drive {drive} was withdrawn by {found[-1].by} at {found[-1].at[:19]}: {found[-1].reason}"
        for drive, found in records.items()
        if drive in held
    ]
