"""The gate: a new segmenter is promoted if it is not worse than the promoted one by more than a stated margin.

Both are scored on the `select` scenes of the same drives, never on `test`, which is read for reported numbers only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from olivine.artifacts import Artifact
from olivine.artifacts.manifest import InputRef
from olivine.errors import UsageError
from olivine.registry.documents import Document, read_document
from olivine.store import Store

GATE_SPLIT = "select"


class Decision(Document):
    """What the gate said of a plan, with its figures. mIoU and margin are shares 0..1."""

    schema_version: Literal[1] = 1
    plan: str
    candidate: InputRef
    baseline: InputRef | None
    candidate_miou: float | None
    baseline_miou: float | None
    margin: float
    passed: bool
    reason: str
    run: str
    at: datetime


def decide(
    plan: str, candidate: Artifact, baseline: Artifact | None, margin: float, run: str, now: datetime
) -> Decision:
    """Compare the metrics of a candidate with those of the promoted segmenter (None: there is none yet).

    Raises:
        UsageError: the metrics cannot be compared: another split than `select`, keyframes that the candidate was
            trained on, or other drives; a bad margin.
    """
    if not 0 <= margin < 1:
        raise UsageError(f"margin = {margin}: give a share of mIoU from 0 to below 1, as 0.01 for one point.")
    for metrics in (candidate, baseline):
        if metrics:
            _check(metrics, candidate)
    new = candidate.manifest.summary.get("miou")
    old = baseline.manifest.summary.get("miou") if baseline else None
    passed, reason = _compare(new, old, margin, has_baseline=baseline is not None)
    return Decision(
        plan=plan,
        candidate=candidate.manifest.input_ref(),
        baseline=baseline.manifest.input_ref() if baseline else None,
        candidate_miou=new,
        baseline_miou=old,
        margin=margin,
        passed=passed,
        reason=reason,
        run=run,
        at=now,
    )


def record_decision(store: Store, decision: Decision) -> Decision:
    """Write the decision on a plan, once; return the one that stands, which an earlier try may have written."""
    store.create(_key(decision.plan), decision.to_json())
    return read_document(store, _key(decision.plan), Decision)


def read_decision(store: Store, plan: str) -> Decision | None:
    """What the gate said of a plan; None when it has not been asked."""
    try:
        return read_document(store, _key(plan), Decision)
    except FileNotFoundError:
        return None


def _key(plan: str) -> str:
    return f"records/decisions/{plan}.json"


def _check(metrics: Artifact, candidate: Artifact) -> None:
    manifest = metrics.manifest
    if manifest.kind != "metrics" or manifest.summary.get("split") != GATE_SPLIT:
        raise UsageError(
            f"{manifest.kind} {metrics.id[:12]} is of the split {manifest.summary.get('split')!r}: the gate reads "
            f"metrics of the split {GATE_SPLIT!r} (--set evaluate.split={GATE_SPLIT})."
        )
    if metrics is candidate and (seen := manifest.summary.get("trained_on")):
        raise UsageError(
            f"{seen} of the keyframes of {GATE_SPLIT!r} were trained on, so metrics "
            f"{metrics.id[:12]} say nothing of new ones: fine-tune on the others (--set finetune.splits=train)."
        )
    if manifest.inputs["drives"] != candidate.manifest.inputs["drives"]:
        raise UsageError(
            f"metrics {metrics.id[:12]} and {candidate.id[:12]} are of other drives: evaluate both models on the same."
        )


def _compare(new: float | None, old: float | None, margin: float, has_baseline: bool) -> tuple[bool, str]:
    if new is None:
        return False, "the candidate has no mIoU: the select scenes hold no labelled point"
    if not has_baseline:
        return True, f"mIoU {new:.4f}, and no model was promoted before"
    if old is None:
        return True, f"mIoU {new:.4f}, and the promoted model has none"
    verdict = "not worse" if new >= old - margin else "worse"
    return new >= old - margin, f"mIoU {new:.4f} is {verdict} than {old:.4f} by the margin of {margin:.4f}"
