"""What to train on next: all complete drives, if enough of them are new, and if nobody has done it or is doing it.

A plan names a set of drives and how to train on it; its id is the digest of both. The watermark is the plan of the
last promoted training. It moves only after the gate, so that a run that failed is planned again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from olivine.artifacts import canonical_json
from olivine.artifacts.manifest import Sha256
from olivine.artifacts.withdrawn import withdrawals
from olivine.errors import DataError, UsageError
from olivine.registry.catalogue import find_missing, read_catalogue
from olivine.registry.claim import claim, release
from olivine.registry.decision import read_decision
from olivine.registry.documents import Document, parse_document, read_document
from olivine.registry.ready import Ready, VersionName
from olivine.registry.start import find_start
from olivine.store import Ref, Store

WATERMARK = "watermark"


class PlannedDrive(Document):
    """A drive as it was when it was planned."""

    name: str
    ready_digest: str


class Plan(Document):
    """A set of drives and how to train on it."""

    schema_version: Literal[1] = 1
    version: VersionName
    recipe: str
    settings: tuple[str, ...] = ()
    drives: tuple[PlannedDrive, ...]
    backfill: bool = False
    """Whether a person chose the drives: then the watermark, which speaks of all drives, stays where it is."""

    start: Sha256 | None = None
    """Id of the backbone that the pretraining starts from; None for random parameters."""

    def to_json(self) -> bytes:
        """Without `start` where there is none: plans from before it was there keep their ids."""
        fields = self.model_dump(mode="json")
        if self.start is None:
            del fields["start"]
        return canonical_json(fields)

    @property
    def key(self) -> str:
        """Where the plan is kept."""
        return plan_key(self.digest)


class Watermark(Document):
    """The plan that the promoted model was trained on, and the run that moved the mark."""

    plan: str
    run: str


@dataclass(frozen=True)
class Request:
    """What the next training shall be, as the parameters of the pipeline say.

    Args:
        version: folder of the tables in every drive.
        recipe, settings: how to train.
        min_new: fewer new drives than this are not worth a training.
        only: train on just these drives, new or not (backfill). Empty: on all.
        claim_hours: for how long [h] no other run may train on the same set, should this one end without a word.
        warm_start: pretrain from the promoted backbone, where there is one.
    """

    version: str
    recipe: str
    settings: tuple[str, ...] = ()
    min_new: int = 1
    only: tuple[str, ...] = ()
    claim_hours: float = 48.0
    warm_start: bool = True


@dataclass(frozen=True)
class Planned:
    """What came out: `plan` is None when there is nothing to do, and `reason` says why."""

    plan: Plan | None
    reason: str
    new: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def make_plan(store: Store, request: Request, run: str, now: datetime) -> Planned:
    """Plan the next training and claim it for `run`. It reads and writes a few small objects, and no data.

    Raises:
        UsageError: a drive of `only` is not there, or not complete.
    """
    catalogue = read_catalogue(store)
    withdrawn = withdrawals(store)
    refused = dict(catalogue.refused)
    done = read_marked(store)
    drives: dict[str, Ready] = {}
    for name, ready in catalogue.drives.items():
        if request.only and name not in request.only:
            continue
        if name in withdrawn:
            refused[name] = f"it was withdrawn: {withdrawn[name][-1].reason}"
        elif problem := _find_problem(store, ready, request.version, is_known=done.get(name) == ready.digest):
            refused[name] = problem
        else:
            drives[name] = ready
    _check_asked(request.only, drives, refused)
    new = [name for name, ready in drives.items() if done.get(name) != ready.digest]
    if not drives or (len(new) < request.min_new and not request.only):
        return Planned(None, f"nothing new: {len(new)} new drives, {request.min_new} needed", new, refused)
    planned = tuple(PlannedDrive(name=name, ready_digest=ready.digest) for name, ready in drives.items())
    start, from_what = find_start(store, withdrawn) if request.warm_start else (None, "")
    plan = Plan(
        version=request.version,
        recipe=request.recipe,
        settings=request.settings,
        drives=planned,
        backfill=bool(request.only),
        start=start,
    )
    if obstacle := _find_obstacle(store, plan.digest, run, now, timedelta(hours=request.claim_hours)):
        return Planned(None, obstacle, new, refused)
    store.create(plan.key, plan.to_json())
    reason = f"train on {len(drives)} drives, {len(new)} of them new"
    return Planned(plan, f"{reason}, {from_what}" if from_what else reason, new, refused)


def read_plan(store: Store, id: str) -> Plan:
    """The plan with this id.

    Raises:
        UsageError: there is none. IntegrityError: it is damaged.
    """
    try:
        plan = read_document(store, plan_key(id), Plan)
    except FileNotFoundError as error:
        raise UsageError(f"{store.url}: there is no plan {id[:12]}. Run the step `plan` first.") from error
    if plan.digest != id:
        raise DataError(f"{store.url}/{plan_key(id)}: was changed after it was written. Plan again.")
    return plan


def read_watermark(store: Store) -> tuple[Watermark | None, Ref | None]:
    """The watermark, None before the first promotion, and the ref to move it by."""
    ref = store.read_ref(WATERMARK)
    return (parse_document(ref.content, Watermark, f"{store.url}/refs/{WATERMARK}") if ref else None), ref


def plan_key(id: str) -> str:
    """`registry/plans/<id>.json`."""
    return f"registry/plans/{id}.json"


def _find_obstacle(store: Store, plan: str, run: str, now: datetime, claim_length: timedelta) -> str | None:
    """Claim a plan; return why it cannot be carried out, None when it can."""
    if holder := claim(store, plan, run, now, claim_length):
        return f"run {holder} is training on these drives"
    # Asked after the claim: another run may have decided and ended just before.
    if decision := read_decision(store, plan):
        release(store, plan, run, now)
        return f"decided already on {decision.at:%Y-%m-%d}: {decision.reason}"
    return None


def read_marked(store: Store) -> dict[str, str]:
    """The drives that the promoted model was trained on: digest of their `_READY.json` by name."""
    watermark, _ = read_watermark(store)
    if watermark is None:
        return {}
    return {drive.name: drive.ready_digest for drive in read_plan(store, watermark.plan).drives}


def _find_problem(store: Store, ready: Ready, version: str, is_known: bool) -> str | None:
    if ready.version != version:
        return f"its tables are in {ready.version}, not in {version}"
    missing = [] if is_known else find_missing(store, ready)
    if missing:
        return f"{len(missing)} of {len(ready.files)} files are missing, {missing[0]} first: upload it again"
    return None


def _check_asked(only: tuple[str, ...], drives: dict[str, Ready], refused: dict[str, str]) -> None:
    for name in only:
        if name not in drives:
            raise UsageError(f"drive {name} cannot be trained on: {refused.get(name, 'it is not registered')}.")
