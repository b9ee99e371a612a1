"""Which artifacts the steps of a run made or found: noted under the run, for its closing page."""

from __future__ import annotations

from olivine.artifacts import Artifact, sha256_hex
from olivine.artifacts.withdrawn import withdrawals
from olivine.lineage import StoreSource
from olivine.lineage.page import render_page
from olivine.lineage.source import Place
from olivine.lineage.trace import union_of_ancestors
from olivine.store import Store


def note_made(artifact: Artifact, run: str) -> None:
    """Note that a step of `run` made or found an artifact."""
    artifact.store.create(f"{_folder(run)}/{artifact.manifest.stage}/{artifact.id}", b"")


def lineage_of_run(store: Store, run: str) -> str | None:
    """The explorer over what a run made and what that was made from; None for a run that made nothing."""
    places = [Place(*key.split("/")[-2:]) for key in store.list(_folder(run))]
    if not places:
        return None
    source = StoreSource(store)
    return render_page(source, union_of_ancestors(source, places), withdrawn=withdrawals(store))


def _folder(run: str) -> str:
    return f"records/made/{sha256_hex(run.encode())[:16]}"
