"""What the registry is about to do with a drive."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from olivine.artifacts.withdrawn import withdraw
from olivine.registry.plan import Request, make_plan
from olivine.registry.uses import uses_of_drive
from olivine.store import Store

from .samples import NOW, VERSION, add

TO_COME = "it is registered and not withdrawn, so every scheduled training to come takes it"


def test_a_training_that_goes_on_and_those_to_come(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a", "b", "c")
    plan = make_plan(store, Request(VERSION, "tiny_cpu", only=("a", "b"), claim_hours=2), "nightly", NOW).plan
    now_too = f"run nightly trains on it now (plan {plan.digest[:12]}, claimed until {NOW + timedelta(hours=2):%Y-%m-%d %H:%M})"
    assert uses_of_drive(store, "a", NOW) == [now_too, TO_COME]
    assert uses_of_drive(store, "c", NOW) == [TO_COME]
    assert uses_of_drive(store, "a", NOW + timedelta(hours=3)) == [TO_COME]
    assert uses_of_drive(store, "unknown", NOW) == []
    withdraw(store, "a", "the owner asked", "legal")
    assert uses_of_drive(store, "a", NOW) == [now_too]
