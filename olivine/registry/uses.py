"""What the registry is about to do with a drive: trainings that are going on, and those that are to come."""

from __future__ import annotations

from datetime import datetime

from olivine.artifacts.withdrawn import withdrawals
from olivine.registry.catalogue import read_catalogue
from olivine.registry.claim import Claim
from olivine.registry.documents import parse_document
from olivine.registry.plan import read_plan
from olivine.store import Store


def uses_of_drive(store: Store, drive: str, now: datetime) -> list[str]:
    """A sentence for each training that holds a claim on a plan with this drive, and one for those to come.

    Which of them are scheduled is known to Kubeflow Pipelines alone (`olivine schedule list`); all of them take every
    complete drive that is not withdrawn.
    """
    found = []
    for key in store.list("refs/claims"):
        name = key.removeprefix("refs/")
        ref = store.read_ref(name)
        held = parse_document(ref.content, Claim, f"{store.url}/{key}") if ref else None
        if held is None or held.until <= now:
            continue
        plan = read_plan(store, name.split("/")[1])
        if drive in (planned.name for planned in plan.drives):
            found.append(
                f"run {held.run} trains on it now (plan {plan.digest[:12]}, claimed until {held.until:%Y-%m-%d %H:%M})"
            )
    if drive in read_catalogue(store).drives and drive not in withdrawals(store):
        found.append("it is registered and not withdrawn, so every scheduled training to come takes it")
    return found
