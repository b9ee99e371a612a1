"""The last step of a retraining: decide, record, promote, and only then move the watermark.

Each part finds what an earlier try has done, so that a step that was killed in between goes on.
"""

from __future__ import annotations

from datetime import datetime

from olivine.artifacts import Artifact, find_artifact
from olivine.errors import DataError
from olivine.registry.decision import Decision, decide, record_decision
from olivine.registry.documents import move
from olivine.registry.plan import WATERMARK, Watermark, read_plan, read_watermark
from olivine.registry.promotion import promote, read_promoted
from olivine.store import Store


def pass_gate(
    store: Store, plan: str, candidate: Artifact, baseline: Artifact | None, margin: float, run: str, now: datetime
) -> Decision:
    """Decide on the segmenter behind the metrics `candidate`; return the decision that stands.

    Args:
        store, plan: what was trained on.
        candidate: metrics of the new segmenter on the `select` scenes.
        baseline: metrics of the promoted one on the same drives; None where there is none.
        margin: how much mIoU (share 0..1) it may be worse.
        run, now: who and when.

    Raises:
        DataError: another model was promoted since the baseline was scored: the comparison says nothing any more.
    """
    planned = read_plan(store, plan)
    _check_baseline(store, candidate, baseline)
    decision = record_decision(store, decide(plan, candidate, baseline, margin, run, now))
    if decision.passed:
        metrics = find_artifact(store, "evaluate", decision.candidate.id)
        segmenter = find_artifact(store, "finetune", metrics.manifest.inputs["segmenter"].id)
        promote(store, segmenter, metrics, decision.reason, run, now, decision=plan)
        if not planned.backfill:
            _move_watermark(store, plan, run)
    return decision


def _check_baseline(store: Store, candidate: Artifact, baseline: Artifact | None) -> None:
    promoted = read_promoted(store)
    standing = promoted.segmenter.id if promoted else None
    compared = baseline.manifest.inputs["segmenter"].id if baseline else None
    if standing not in (compared, candidate.manifest.inputs["segmenter"].id):
        raise DataError(
            f"{store.url}: the promoted segmenter is {str(standing)[:12]}, but {str(compared)[:12]} was compared. Run "
            "the pipeline again; what is finished is found."
        )


def _move_watermark(store: Store, plan: str, run: str) -> None:
    while True:
        watermark, ref = read_watermark(store)
        if watermark and watermark.plan == plan:
            return
        if move(store, WATERMARK, Watermark(plan=plan, run=run), ref):
            return
