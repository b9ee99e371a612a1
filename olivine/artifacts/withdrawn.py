"""Drives that were withdrawn: records that every later ingest and every later stage heeds. Nothing is deleted."""

from __future__ import annotations

import getpass
import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from olivine.artifacts.digest import canonical_json
from olivine.artifacts.provenance import segment
from olivine.errors import IntegrityError, UsageError
from olivine.store import Store

WITHDRAWN = "records/withdrawn"


@dataclass(frozen=True)
class Withdrawal:
    """Which drive, why, by whom and when (ISO 8601)."""

    drive: str
    reason: str
    by: str
    at: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def withdraw(store: Store, drive: str, reason: str, by: str = "") -> Withdrawal:
    """Record that a drive is withdrawn. It may be done twice, each with its reason.

    Raises:
        UsageError: no drive or no reason is given.
    """
    if not drive.strip() or not reason.strip():
        raise UsageError(
            "a drive is withdrawn for a reason: say both, as `olivine drives withdraw DRIVE --reason TEXT`."
        )
    record = Withdrawal(drive, reason, by or getpass.getuser(), datetime.now(UTC).isoformat())
    store.create(f"{WITHDRAWN}/{segment(drive)}/{uuid.uuid4().hex}.json", canonical_json(record.as_json()))
    return record


def withdrawals(store: Store) -> dict[str, list[Withdrawal]]:
    """Withdrawals by drive, the earliest first.

    Raises:
        IntegrityError: a record cannot be read: whether its drive may be used is then not known.
    """
    found: dict[str, list[Withdrawal]] = {}
    for key in store.list(WITHDRAWN):
        try:
            record = Withdrawal(**json.loads(store.read(key)))
        except (ValueError, TypeError, RecursionError) as error:
            raise IntegrityError(f"{store.url}/{key}: not a withdrawal ({error}). Restore it from a copy.") from error
        found.setdefault(record.drive, []).append(record)
    return {drive: sorted(records, key=lambda record: record.at) for drive, records in sorted(found.items())}
