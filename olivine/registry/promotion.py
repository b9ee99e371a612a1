"""Which segmenter is promoted: a chain of records, and one ref to its newest, moved by compare-and-swap."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from olivine.artifacts import Artifact, open_artifact
from olivine.artifacts.deleted import told_of_deletion
from olivine.artifacts.manifest import InputRef, Sha256
from olivine.errors import DataError, IntegrityError, UsageError
from olivine.registry.documents import Document, move, parse_document, read_document
from olivine.store import Ref, Store

_REF = "promoted"


class Promotion(Document):
    """One change of the promoted segmenter.

    `before` is the record that stood until then, `fallback` the one that a rollback would bring back.
    """

    schema_version: Literal[1] = 1
    action: Literal["promote", "rollback"]
    segmenter: InputRef
    metrics: InputRef | None
    decision: str | None
    before: Sha256 | None
    fallback: Sha256 | None
    reason: str
    run: str
    at: datetime


class Promoted(Document):
    """The content of `refs/promoted`."""

    promotion: Sha256


def promote(
    store: Store, segmenter: Artifact, metrics: Artifact | None, reason: str, run: str, at: datetime, decision: str = ""
) -> Promotion:
    """Make `segmenter` the promoted one.

    Args:
        store: where the promotion is recorded.
        segmenter, metrics: the model, and how it scored.
        reason: why, for those who read the history.
        run, at: who and when.
        decision: id of the plan whose gate allowed it; empty where a person did.

    Raises:
        UsageError: not a segmenter, or metrics of another one.
        DataError: somebody else moved the promotion meanwhile; look at it, and promote again.
    """
    if segmenter.manifest.kind != "segmenter":
        raise UsageError(f"{segmenter.manifest.kind} {segmenter.id[:12]} is no segmenter: only those are promoted.")
    if metrics:
        metrics.require_made_from("segmenter", segmenter)
    current, ref = _read(store)
    if current and current.segmenter == segmenter.manifest.input_ref():
        return current
    before = current.digest if current else None
    promotion = Promotion(
        action="promote",
        segmenter=segmenter.manifest.input_ref(),
        metrics=metrics.manifest.input_ref() if metrics else None,
        decision=decision or None,
        before=before,
        fallback=before,
        reason=reason,
        run=run,
        at=at,
    )
    return _record(store, promotion, ref)


def roll_back(store: Store, reason: str, run: str, at: datetime) -> Promotion:
    """Bring back the segmenter that was promoted before; called again, the one before that.

    Raises:
        UsageError: there is none before, or it was deleted. DataError: somebody else moved the promotion meanwhile.
    """
    current, ref = _read(store)
    if current is None or current.fallback is None:
        raise UsageError(f"{store.url}: no segmenter was promoted before this one, so there is nothing to go back to.")
    target = _load(store, current.fallback)
    if open_artifact(store, target.segmenter.stage, target.segmenter.id) is None:
        told = told_of_deletion(store, target.segmenter.id) or f"segmenter {target.segmenter.id[:12]} is not there"
        raise UsageError(f"{told}. Promote another one by name.")
    promotion = Promotion(
        action="rollback",
        segmenter=target.segmenter,
        metrics=target.metrics,
        decision=target.decision,
        before=current.digest,
        fallback=target.fallback,
        reason=reason,
        run=run,
        at=at,
    )
    return _record(store, promotion, ref)


def read_promoted(store: Store) -> Promotion | None:
    """The promotion that stands; None before the first."""
    return _read(store)[0]


def read_history(store: Store) -> Iterator[Promotion]:
    """All promotions and rollbacks, the newest first."""
    promotion = read_promoted(store)
    while promotion:
        yield promotion
        promotion = _load(store, promotion.before) if promotion.before else None


def _record(store: Store, promotion: Promotion, ref: Ref | None) -> Promotion:
    store.create(_key(promotion.digest), promotion.to_json())
    if not move(store, _REF, Promoted(promotion=promotion.digest), ref):
        raise DataError(f"{store.url}/refs/{_REF} was moved by somebody else meanwhile. Look at it and run again.")
    return promotion


def _read(store: Store) -> tuple[Promotion | None, Ref | None]:
    ref = store.read_ref(_REF)
    if ref is None:
        return None, None
    return _load(store, parse_document(ref.content, Promoted, f"{store.url}/refs/{_REF}").promotion), ref


def _load(store: Store, id: str) -> Promotion:
    try:
        promotion = read_document(store, _key(id), Promotion)
    except FileNotFoundError as error:
        raise IntegrityError(f"{store.url}/{_key(id)} is missing. Restore it from a copy.") from error
    if promotion.digest != id:
        raise IntegrityError(f"{store.url}/{_key(id)}: was changed after it was written. Restore it from a copy.")
    return promotion


def _key(id: str) -> str:
    return f"records/promotions/{id}.json"
