"""End the TrainJobs whose supervisor is gone, so that a cancelled run cannot keep GPUs busy.

olivine reap --namespace olivine      (k8s/base runs it every two minutes)
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from olivine.platform.trainjob.cluster import Cluster, Conflict
from olivine.platform.trainjob.spec import HEARTBEAT, MANAGED_BY

LEASE = timedelta(minutes=5)
"""A supervisor beats every 30 s; after this time without a beat it is gone."""

KEEP_ENDED = timedelta(days=7)
"""Jobs that ended keep their pods, and so their logs, for this time. (Not by a TTL of the JobSet: with one, Trainer
2.3.0 makes a failed JobSet anew and forgets how often it was restarted.)"""


def reap(cluster: Cluster, now: datetime) -> dict[str, str]:
    """Delete what nobody watches and what ended long ago; return the reason for each TrainJob that was deleted."""
    reaped = {}
    selector = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())
    for job in cluster.find(selector):
        metadata, reason = job["metadata"], _find_reason(job, now)
        if reason is None or metadata.get("deletionTimestamp"):
            continue
        try:
            # Only as it was read: a beat that came in between saves the job.
            cluster.delete(metadata["name"], metadata.get("resourceVersion"))
            reaped[metadata["name"]] = reason
        except Conflict:
            continue
    return reaped


def _find_reason(job: dict[str, Any], now: datetime) -> str | None:
    status = job.get("status") or {}
    ended = [
        datetime.fromisoformat(str(condition["lastTransitionTime"]))
        for condition in status.get("conditions") or []
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
    ]
    if ended:
        return f"ended at {max(ended).isoformat()}" if now - max(ended) > KEEP_ENDED else None
    beat = _read_beat(job["metadata"])
    return None if now - beat <= LEASE else f"no heartbeat since {beat.isoformat()}"


def _read_beat(metadata: dict[str, Any]) -> datetime:
    """The last heartbeat; the creation of the job where there is none that can be read."""
    for text in ((metadata.get("annotations") or {}).get(HEARTBEAT), metadata.get("creationTimestamp")):
        try:
            beat = datetime.fromisoformat(str(text))
        except ValueError:
            continue
        if beat.tzinfo:
            return beat
    return datetime.min.replace(tzinfo=UTC)
