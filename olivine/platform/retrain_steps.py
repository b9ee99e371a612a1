"""The steps of a retraining as a pipeline calls them: `plan` and `gate`, on executor input and output."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from olivine.artifacts import Artifact, find_artifact
from olivine.errors import UsageError
from olivine.kfp_io import ExecutorInput
from olivine.platform.push import push_retrained
from olivine.registry.decision import Decision
from olivine.registry.gate import pass_gate
from olivine.registry.plan import Planned, Request, make_plan
from olivine.registry.promotion import read_promoted
from olivine.steps import PLAN_SOURCE
from olivine.store import open_store


def run_plan_executor(executor_input: str) -> Planned:
    """Plan the next training as a pipeline step.

    Parameters: `store`, `version`, `recipe`, `settings`, `min_new`, `only`, `claim_hours`, `warm_start`, `run`.
    Outputs: `plan` (its id, empty when there is nothing to do), `source` (its drives, as `ingest` takes them), `start`
    (id of the backbone to start from, empty for random parameters), `promoted` (id of the promoted segmenter, empty
    when there is none) and the artifact `planned` with the figures.
    """
    io = ExecutorInput.parse(executor_input)
    given = Parameters("plan", io.parameters)
    store = open_store(given.text("store"))
    request = Request(
        version=given.text("version"),
        recipe=given.text("recipe"),
        settings=given.texts("settings"),
        min_new=int(given.number("min_new")),
        only=given.texts("only"),
        claim_hours=given.number("claim_hours"),
        warm_start=given.truth("warm_start"),
    )
    planned = make_plan(store, request, given.text("run"), datetime.now(UTC))
    promoted = read_promoted(store)
    facts = {"reason": planned.reason, "num_new": len(planned.new), "num_refused": len(planned.refused)}
    path = io.output_path("planned")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts | {"new": planned.new, "refused": planned.refused}, indent=1))
    plan = planned.plan.digest if planned.plan else ""
    start = planned.plan.start if planned.plan else None
    outputs = {"plan": plan, "source": f"{PLAN_SOURCE}{plan}", "start": start or ""}
    outputs["promoted"] = promoted.segmenter.id if promoted else ""
    io.write_raw("planned", facts, outputs)
    if planned.plan is None:
        push_retrained(store.url, time.time())
    return planned


def run_gate_executor(executor_input: str) -> Decision:
    """Pass the gate as a pipeline step.

    Parameters: `store`, `plan`, `metrics_id`, `baseline_id` (empty: none), `margin`, `run`. Output: the artifact
    `decision` with the figures.
    """
    io = ExecutorInput.parse(executor_input)
    given = Parameters("gate", io.parameters)
    store = open_store(given.text("store"))

    def scores(name: str) -> Artifact | None:
        id = given.text(name, optional=name == "baseline_id")
        return find_artifact(store, "evaluate", id, "metrics") if id else None

    candidate, baseline = scores("metrics_id"), scores("baseline_id")
    assert candidate is not None
    margin, run, now = given.number("margin"), given.text("run"), datetime.now(UTC)
    decision = pass_gate(store, given.text("plan"), candidate, baseline, margin, run, now)
    path = io.output_path("decision")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(decision.to_json())
    facts = {"passed": decision.passed, "reason": decision.reason, "margin": decision.margin}
    scored = {"miou": decision.candidate_miou, "miou_promoted": decision.baseline_miou}
    io.write_raw("decision", facts | {name: value for name, value in scored.items() if value is not None}, {})
    push_retrained(store.url, time.time())
    return decision


class Parameters:
    """The parameters of a step, read as what they must be; UsageError names the one that is not."""

    def __init__(self, step: str, values: dict[str, Any]) -> None:
        self._step, self._values = step, values

    def text(self, name: str, optional: bool = False) -> str:
        """A text, not empty unless it is `optional`."""
        value = self._get(name, lambda value: isinstance(value, str), "a text") if name in self._values else ""
        if not value and not optional:
            raise UsageError(f"step {self._step}: the parameter {name!r} is missing.")
        return str(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty when the parameter is not there."""
        values = self._values.get(name) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise UsageError(f"step {self._step}: {name} must be a list of texts.")
        return tuple(values)

    def number(self, name: str) -> float:
        """A number."""
        return float(self._get(name, lambda value: isinstance(value, int | float), "a number"))

    def truth(self, name: str) -> bool:
        """True or false."""
        return bool(self._get(name, lambda value: isinstance(value, bool), "true or false"))

    def _get(self, name: str, fits: Callable[[Any], bool], what: str) -> Any:
        value = self._values.get(name)
        if not fits(value):
            raise UsageError(f"step {self._step}: {name} is {value!r}, but must be {what}.")
        return value
