"""Planning: nothing new costs nothing, a failed training is planned again, and no set is trained on twice (F18)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from olivine.artifacts.withdrawn import withdraw
from olivine.errors import DataError, UsageError
from olivine.registry.claim import claim, release
from olivine.registry.gate import pass_gate
from olivine.registry.plan import Request, make_plan, read_marked, read_plan
from olivine.registry.ready import file_key
from olivine.store import Store, open_store

from .samples import NOW, VERSION, add, score

ASK = Request(VERSION, "tiny_cpu")


def plan(store: Store, run: str = "a", request: Request = ASK, hours: float = 0):
    return make_plan(store, request, run, NOW + timedelta(hours=hours))


def train(store: Store, run: str, number: int, miou: float, request: Request = ASK):
    """A whole retraining, with metrics in place of the training."""
    made = plan(store, run, request).plan
    return pass_gate(store, made.digest, score(store, number, miou), None, 0.0, run, NOW)


def test_an_empty_store_has_nothing_to_do(store: Store) -> None:
    made = plan(store)
    assert (made.plan, made.reason) == (None, "nothing new: 0 new drives, 1 needed")


def test_all_complete_drives_are_planned_and_the_plan_is_named_by_what_it_says(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "b", "a")
    made = plan(store)
    assert [drive.name for drive in made.plan.drives] == ["a", "b"]
    assert (made.new, made.reason) == (["a", "b"], "train on 2 drives, 2 of them new")
    assert read_plan(store, made.plan.digest) == made.plan


def test_after_a_promotion_there_is_nothing_new_until_enough_drives_came(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a")
    assert train(store, "r1", 1, 0.5).passed
    before = store.traffic.read_bytes
    assert plan(store, "r2").reason == "nothing new: 0 new drives, 1 needed"
    assert store.traffic.read_bytes - before < 4000
    add(store, tmp_path, "b")
    wants_two = Request(VERSION, "tiny_cpu", min_new=2)
    assert plan(store, "r2", wants_two).reason == "nothing new: 1 new drives, 2 needed"
    assert plan(store, "r2").new == ["b"]


def test_a_withdrawn_drive_is_in_no_later_plan(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a", "b")
    withdraw(store, "a", "a face is seen", "ada")
    made = plan(store)
    assert [drive.name for drive in made.plan.drives] == ["b"]
    assert made.refused == {"a": "it was withdrawn: a face is seen"}
    with pytest.raises(UsageError, match="a cannot be trained on: it was withdrawn"):
        plan(store, "r2", Request(VERSION, "tiny_cpu", only=("a",)))


def test_a_run_that_failed_is_planned_again(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a")
    first = plan(store, "r1").plan
    assert plan(store, "r2").reason == "run r1 is training on these drives"
    assert plan(store, "r1").plan == first, "the same run, its step tried again"
    assert release(store, first.digest, "r1", NOW)
    assert plan(store, "r2").plan == first


def test_a_run_that_vanished_loses_its_claim_in_the_end(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a")
    first = plan(store, "r1").plan
    assert plan(store, "r2", hours=47.9).plan is None
    assert plan(store, "r2", hours=48.1).plan == first
    assert not release(store, first.digest, "r1", NOW), "not r1's any more"


def test_what_the_gate_refused_is_not_trained_again_until_something_changes(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a")
    train(store, "r1", 1, 0.5)
    add(store, tmp_path, "b")
    second = plan(store, "r2").plan
    worse = pass_gate(store, second.digest, score(store, 2, 0.1), score(store, 1, 0.5), 0.01, "r2", NOW)
    assert not worse.passed
    release(store, second.digest, "r2", NOW)
    assert plan(store, "r3").reason.startswith("decided already on 2026-11-25: mIoU 0.1000 is worse than 0.5000")
    assert read_marked(store).keys() == {"a"}, "the watermark moves behind the gate alone"
    assert plan(store, "r3", Request(VERSION, "demo")).plan is not None
    add(store, tmp_path, "c")
    assert plan(store, "r3").new == ["b", "c"]


def test_of_many_runs_at_once_one_trains(store_url: str, tmp_path: Path) -> None:
    add(open_store(store_url), tmp_path, "a")
    with ThreadPoolExecutor(32) as workers:
        made = list(workers.map(lambda number: plan(open_store(store_url), f"run-{number}").plan, range(32)))
    assert sum(item is not None for item in made) == 1


def test_an_ended_claim_is_taken_over_by_one(store_url: str) -> None:
    claim(open_store(store_url), "p", "gone", NOW, timedelta(hours=1))
    later = NOW + timedelta(hours=2)

    def take(number: int) -> str | None:
        return claim(open_store(store_url), "p", f"run-{number}", later, timedelta(hours=1))

    with ThreadPoolExecutor(24) as workers:
        holders = list(workers.map(take, range(24)))
    (winner,) = {holder for holder in holders if holder}
    assert holders.count(None) == 1
    assert holders[int(winner.removeprefix("run-"))] is None


def test_an_incomplete_drive_is_left_out_and_said(store: Store, tmp_path: Path) -> None:
    ready, _ = add(store, tmp_path, "a", "b")
    store.delete(file_key("a", ready.files[0].path))
    made = plan(store)
    assert [drive.name for drive in made.plan.drives] == ["b"]
    assert made.refused["a"].startswith("1 of 2 files are missing")


def test_tables_of_another_version_are_left_out(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a")
    assert plan(store, request=Request("v2.0", "tiny_cpu")).refused == {"a": "its tables are in v1.0, not in v2.0"}


def test_backfill_takes_the_drives_it_is_told_and_leaves_the_watermark(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a", "b")
    train(store, "r1", 1, 0.5)
    asked = Request(VERSION, "tiny_cpu", only=("a",))
    again = plan(store, "r2", asked).plan
    assert [drive.name for drive in again.drives] == ["a"]
    decision = pass_gate(store, again.digest, score(store, 2, 0.9), score(store, 1, 0.5), 0.0, "r2", NOW)
    assert decision.passed
    assert read_marked(store).keys() == {"a", "b"}
    with pytest.raises(UsageError, match="drive z cannot be trained on: it is not registered"):
        plan(store, "r3", Request(VERSION, "tiny_cpu", only=("a", "z")))


def test_a_plan_that_was_changed_is_refused(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a")
    made = plan(store).plan
    store.delete(made.key)
    store.create(made.key, made.to_json().replace(b"tiny_cpu", b"tiny_gpu"))
    with pytest.raises(DataError, match="was changed"):
        read_plan(store, made.digest)
    with pytest.raises(UsageError, match="there is no plan"):
        read_plan(store, "0" * 64)
