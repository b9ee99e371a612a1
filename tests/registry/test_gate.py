"""The gate promotes what is not worse, records its figures, and goes on where a killed step stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from olivine.artifacts import Artifact
from olivine.errors import DataError, OlivineError, UsageError
from olivine.registry import gate
from olivine.registry.decision import decide, read_decision
from olivine.registry.gate import pass_gate
from olivine.registry.plan import Request, make_plan, read_watermark
from olivine.registry.promotion import promote, read_history, read_promoted, roll_back
from olivine.store import Store, open_store

from .samples import NOW, VERSION, add, publish, score, segmenter_of


@pytest.fixture
def plan(store: Store, tmp_path: Path) -> str:
    add(store, tmp_path, "a")
    return make_plan(store, Request(VERSION, "tiny_cpu"), "r", NOW).plan.digest


def promote_by_hand(store: Store, metrics: Artifact, run: str = "me") -> None:
    promote(store, segmenter_of(metrics), metrics, "first", run, NOW)


@pytest.mark.parametrize(
    ("new", "old", "margin", "passed"),
    [
        (0.5, 0.5, 0.0, True),
        (0.49, 0.5, 0.0, False),
        (0.49, 0.5, 0.01, True),
        (0.4899, 0.5, 0.01, False),
        (0.6, 0.5, 0.0, True),
        (None, 0.5, 0.01, False),
        (0.1, None, 0.0, True),
    ],
)
def test_not_worse_by_more_than_the_margin(store: Store, new, old, margin, passed) -> None:
    decision = decide("p", score(store, 2, new), score(store, 1, old), margin, "r", NOW)
    assert decision.passed is passed
    assert (decision.candidate_miou, decision.baseline_miou, decision.margin) == (new, old, margin)


def test_a_first_model_passes_when_it_scores_at_all(store: Store) -> None:
    assert decide("p", score(store, 1, 0.01), None, 0.0, "r", NOW).passed
    assert not decide("p", score(store, 2, None), None, 0.0, "r", NOW).passed


@pytest.mark.parametrize("margin", [-0.01, 1.0, float("nan")])
def test_a_margin_that_is_none_is_refused(store: Store, margin: float) -> None:
    with pytest.raises(UsageError, match="margin"):
        decide("p", score(store, 1, 0.5), None, margin, "r", NOW)


def test_metrics_that_cannot_be_compared_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="reads metrics of the split 'select'"):
        decide("p", score(store, 1, 0.5, split="test"), None, 0.0, "r", NOW)
    with pytest.raises(UsageError, match="other drives"):
        decide("p", score(store, 3, 0.5), score(store, 2, 0.5, drives=7), 0.0, "r", NOW)


def test_a_score_on_what_was_trained_on_is_no_reason_to_promote(store: Store) -> None:
    with pytest.raises(UsageError, match=r"3 of the keyframes of 'select' were trained on.*finetune.splits=train"):
        decide("p", score(store, 1, 0.9, trained_on=3), None, 0.0, "r", NOW)
    # An older model may have seen them: that makes it harder to replace, not easier.
    assert decide("p", score(store, 3, 0.9, trained_on=0), score(store, 2, 0.5, trained_on=3), 0.0, "r", NOW).passed


def test_passing_promotes_and_then_moves_the_watermark(store: Store, plan: str) -> None:
    metrics = score(store, 1, 0.5)
    decision = pass_gate(store, plan, metrics, None, 0.0, "r", NOW)
    promoted = read_promoted(store)
    assert promoted.segmenter == segmenter_of(metrics).manifest.input_ref()
    assert promoted.decision == plan
    assert read_watermark(store)[0].plan == plan
    assert read_decision(store, plan) == decision


def test_failing_moves_nothing_and_is_recorded(store: Store, plan: str) -> None:
    old = score(store, 1, 0.5)
    promote_by_hand(store, old)
    decision = pass_gate(store, plan, score(store, 2, 0.1), old, 0.01, "r", NOW)
    assert not decision.passed
    assert read_promoted(store).segmenter.id == segmenter_of(old).id
    assert read_watermark(store) == (None, None)
    assert read_decision(store, plan).reason == "mIoU 0.1000 is worse than 0.5000 by the margin of 0.0100"


@pytest.mark.parametrize("killed_in", ["promote", "_move_watermark"])
def test_a_step_that_was_killed_goes_on(store: Store, plan: str, monkeypatch, killed_in: str) -> None:
    metrics = score(store, 1, 0.5)

    def die(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gate, killed_in, die)
        with pytest.raises(KeyboardInterrupt):
            pass_gate(store, plan, metrics, None, 0.0, "r", NOW)
    assert read_watermark(store) == (None, None)
    pass_gate(store, plan, metrics, None, 0.0, "r", NOW + timedelta(hours=1))
    assert read_watermark(store)[0].plan == plan
    assert read_decision(store, plan).at == NOW, "the first decision stands"
    assert len(list(read_history(store))) == 1


def test_a_model_that_was_promoted_meanwhile_stops_the_gate(store: Store, plan: str) -> None:
    old, other = score(store, 1, 0.5), score(store, 3, 0.7)
    promote_by_hand(store, old)
    promote_by_hand(store, other)
    with pytest.raises(DataError, match="Run the pipeline again"):
        pass_gate(store, plan, score(store, 2, 0.6), old, 0.0, "r", NOW)
    with pytest.raises(DataError, match="Run the pipeline again"):
        pass_gate(store, plan, score(store, 2, 0.6), None, 0.0, "r", NOW)


def test_rolling_back_brings_the_models_back_one_by_one(store: Store) -> None:
    metrics = [score(store, number, 0.5) for number in (1, 2, 3)]
    for item in metrics:
        promote_by_hand(store, item)
    assert roll_back(store, "bad", "me", NOW).segmenter.id == segmenter_of(metrics[1]).id
    assert roll_back(store, "bad", "me", NOW).segmenter.id == segmenter_of(metrics[0]).id
    with pytest.raises(UsageError, match="nothing to go back to"):
        roll_back(store, "bad", "me", NOW)
    promote_by_hand(store, metrics[2], run="again")
    assert roll_back(store, "bad", "me", NOW).segmenter.id == segmenter_of(metrics[0]).id
    assert [item.action for item in read_history(store)] == [
        "rollback",
        *["promote"],
        *["rollback"] * 2,
        *["promote"] * 3,
    ]


def test_without_a_promotion_there_is_nothing_to_go_back_to(store: Store) -> None:
    with pytest.raises(UsageError, match="nothing to go back to"):
        roll_back(store, "bad", "me", NOW)


def test_promoting_what_is_promoted_changes_nothing(store: Store) -> None:
    metrics = score(store, 1, 0.5)
    promote_by_hand(store, metrics)
    promote_by_hand(store, metrics, run="again")
    assert [item.run for item in read_history(store)] == ["me"]


def test_only_segmenters_and_their_own_metrics(store: Store) -> None:
    with pytest.raises(UsageError, match="no segmenter"):
        promote(store, publish(store, "ingest", "drives", 0, {}), None, "x", "me", NOW)
    with pytest.raises(UsageError, match="belong together"):
        promote(store, segmenter_of(score(store, 1, 0.5)), score(store, 2, 0.5), "x", "me", NOW)


def test_of_many_promotions_at_once_none_is_lost(store_url: str) -> None:
    models = [segmenter_of(score(open_store(store_url), number, 0.5)) for number in range(16)]

    def promote_one(model: Artifact) -> int:
        store = open_store(store_url)
        for _ in range(1000):
            try:
                promote(store, model, None, "race", model.id[:8], NOW)
                return 1
            except OlivineError as error:
                assert "meanwhile" in str(error)
        return 0

    with ThreadPoolExecutor(16) as workers:
        assert sum(workers.map(promote_one, models)) == 16
    history = list(read_history(open_store(store_url)))
    assert {item.segmenter.id for item in history} == {model.id for model in models}


def test_a_promotion_that_was_changed_is_found(store: Store) -> None:
    promote_by_hand(store, score(store, 1, 0.5))
    (key,) = store.list("records/promotions")
    data = store.read(key)
    store.delete(key)
    store.create(key, data.replace(b'"me"', b'"you"'))
    with pytest.raises(DataError, match="was changed"):
        read_promoted(store)
    store.delete(key)
    with pytest.raises(DataError, match="is missing"):
        read_promoted(store)
