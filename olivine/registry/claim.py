"""One run at a time trains on a set of drives: a claim is a ref with an end, moved by compare-and-swap."""

from __future__ import annotations

from datetime import datetime, timedelta

from olivine.registry.documents import Document, move, parse_document
from olivine.store import Store


class Claim(Document):
    """Who trains on a plan, and until when nobody else may."""

    run: str
    until: datetime


def claim(store: Store, plan: str, run: str, now: datetime, length: timedelta) -> str | None:
    """Claim a plan for `run`; return None, or the run that holds it. A claim that has ended may be taken.

    Args:
        store, plan: which plan.
        run: who asks; asking again for what one holds prolongs it.
        now: the time, with its zone.
        length: how long the claim lasts, should nobody release it.
    """
    name = f"claims/{plan}"
    ours = Claim(run=run, until=now + length)
    while True:
        ref = store.read_ref(name)
        if ref:
            held = parse_document(ref.content, Claim, f"{store.url}/refs/{name}")
            if held.run != run and held.until > now:
                return held.run
        if move(store, name, ours, ref):
            return None


def release(store: Store, plan: str, run: str, now: datetime) -> bool:
    """End the claim of `run`, so that the plan can be tried again; False when it holds none."""
    name = f"claims/{plan}"
    ref = store.read_ref(name)
    if ref is None or parse_document(ref.content, Claim, f"{store.url}/refs/{name}").run != run:
        return False
    return move(store, name, Claim(run=run, until=now), ref)
