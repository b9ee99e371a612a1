"""What the next pretraining starts from, and what speaks against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from olivine.artifacts import Artifact
from olivine.artifacts.withdrawn import withdraw
from olivine.errors import UsageError
from olivine.registry.plan import Plan, PlannedDrive, Request, make_plan, read_plan
from olivine.registry.promotion import promote
from olivine.registry.start import drives_behind, find_start
from olivine.steps import refuse_withdrawn
from olivine.store import Store

from .samples import NOW, VERSION, add, publish


def trained(store: Store, number: int, *drives: str, start: Artifact | None = None) -> Artifact:
    """A backbone trained on `drives`."""
    given = publish(store, "ingest", "drives", number, {"drives": list(drives)})
    return publish(store, "pretrain", "backbone", number, {}, drives=given, **({"start": start} if start else {}))


def promoted(store: Store, number: int, backbone: Artifact | None) -> Artifact:
    model = publish(store, "finetune", "segmenter", number, {}, **({"backbone": backbone} if backbone else {}))
    promote(store, model, None, "a test", "r", NOW)
    return model


def test_without_a_promoted_backbone_there_is_no_start(store: Store) -> None:
    assert find_start(store, ()) == (None, "")
    promoted(store, 1, None)
    assert find_start(store, ()) == (None, "")


def test_it_is_the_backbone_behind_the_promoted_segmenter(store: Store) -> None:
    backbone = trained(store, 1, "a")
    promoted(store, 1, backbone)
    assert find_start(store, ["b"]) == (backbone.id, f"from the promoted backbone {backbone.id[:12]}")


def test_what_a_backbone_started_from_counts_among_its_drives(store: Store) -> None:
    first = trained(store, 1, "a", "b")
    second = trained(store, 2, "b", "c", start=first)
    assert drives_behind(second) == {"a", "b", "c"}
    assert drives_behind(publish(store, "pretrain", "backbone", 3, {})) == set(), "imported ones name none"
    promoted(store, 2, second)
    short = second.id[:12]
    assert find_start(store, ["a"]) == (None, f"from random: the promoted backbone {short} saw a, withdrawn since")


def test_a_backbone_that_is_gone_is_none(store: Store) -> None:
    backbone = trained(store, 1, "a")
    promoted(store, 1, backbone)
    store.delete(backbone.manifest.key)
    assert find_start(store, ()) == (None, f"from random: the promoted backbone {backbone.id[:12]} is gone")


def test_a_plan_names_its_start_and_is_another_with_another(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a")
    cold = make_plan(store, Request(VERSION, "tiny_cpu"), "r1", NOW)
    assert (cold.plan.start, cold.reason) == (None, "train on 1 drives, 1 of them new")
    backbone = trained(store, 1, "z")
    promoted(store, 1, backbone)
    warm = make_plan(store, Request(VERSION, "tiny_cpu"), "r2", NOW)
    assert warm.plan.start == backbone.id
    assert warm.reason.endswith(f", from the promoted backbone {backbone.id[:12]}")
    assert read_plan(store, warm.plan.digest) == warm.plan
    off = make_plan(store, Request(VERSION, "tiny_cpu", warm_start=False), "r1", NOW)
    assert off.plan == cold.plan


def test_a_plan_without_a_start_keeps_the_id_that_it_had_before_there_were_any() -> None:
    plan = Plan(version=VERSION, recipe="demo", drives=(PlannedDrive(name="a", ready_digest="0" * 64),))
    assert b"start" not in plan.to_json()
    assert Plan.model_validate_json(plan.to_json()) == plan
    assert b'"start":"' in plan.model_copy(update={"start": "1" * 64}).to_json()


def test_nothing_starts_from_a_backbone_that_saw_a_withdrawn_drive(store: Store) -> None:
    tainted = trained(store, 2, "b", start=trained(store, 1, "a"))
    drives = publish(store, "ingest", "drives", 3, {"drives": ["c"]})
    refuse_withdrawn(store, {"drives": drives, "start": tainted})
    withdraw(store, "a", "a face is seen", "ada")
    refuse_withdrawn(store, {"drives": drives})
    with pytest.raises(UsageError, match=rf"{tainted.id[:12]} was trained on what was withdrawn: a \(a face is seen\)"):
        refuse_withdrawn(store, {"drives": drives, "start": tainted})
