"""What each stage cost, from the records of the runs that made its artifacts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from olivine.artifacts import Artifact
from olivine.artifacts.record import records_folder
from olivine.errors import IntegrityError
from olivine.report.trace import Trace
from olivine.stages import WORDS

_FIELDS = frozenset(
    {"artifact", "started", "ended", "wall_s", "cpu_s", "peak_rss_mb", "written_bytes", "host", "device", "cores"}
)


@dataclass(frozen=True)
class Cost:
    """Cost of a stage: sums over its artifacts, the greatest for memory; None where no run left a record.

    Only the run that finished an artifact counts: what killed runs spent before it is not known here.
    """

    stage: str
    num_artifacts: int
    wall_s: float | None
    cpu_s: float | None
    peak_rss_mb: float | None
    written_bytes: int | None
    data_bytes: int
    devices: tuple[str, ...]


def stage_costs(trace: Trace) -> dict[str, Cost]:
    """Cost of every stage that made something, in the order of the stages."""
    costs = {}
    for stage in WORDS:
        artifacts = [artifact for artifact in trace.artifacts if artifact.manifest.stage == stage]
        if artifacts:
            costs[stage] = _cost(stage, artifacts)
    return costs


def _cost(stage: str, artifacts: list[Artifact]) -> Cost:
    records = [record for artifact in artifacts if (record := newest_record(artifact))]
    apart = [record for record in records if not any(_within(record, other) for other in records)]

    def total(name: str) -> float | None:
        return sum(record[name] for record in apart) if apart else None

    blobs = {blob.sha256: blob.size_bytes for artifact in artifacts for blob in artifact.manifest.data}
    written = total("written_bytes")
    return Cost(
        stage=stage,
        num_artifacts=len(artifacts),
        wall_s=total("wall_s"),
        cpu_s=total("cpu_s"),
        peak_rss_mb=max((record["peak_rss_mb"] for record in records), default=None),
        written_bytes=None if written is None else int(written),
        data_bytes=sum(blobs.values()),
        devices=tuple(dict.fromkeys(f"{record['device']}, {record['cores']} cores" for record in records)),
    )


def newest_record(artifact: Artifact) -> dict[str, Any] | None:
    """The record of the newest run that made this artifact; None when there is none."""
    records = [_read_record(artifact, key) for key in artifact.store.list(records_folder(artifact.manifest))]
    return max(records, key=lambda record: datetime.fromisoformat(record["started"]), default=None)


def _read_record(artifact: Artifact, key: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(artifact.store.read(key))
        missing = _FIELDS - record.keys()
    except (ValueError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{artifact.store.url}/{key}: not the record of a run ({error}). Delete it.") from error
    if missing:
        raise IntegrityError(f"{artifact.store.url}/{key}: has no {', '.join(sorted(missing))}. Delete it.")
    return record


def _within(record: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether `record` is of work that a pretraining did on its way: its images' features, already in its own time."""
    if (record["artifact"]["kind"], other["artifact"]["kind"]) != ("image_features", "backbone"):
        return False
    started, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    return (
        record["host"] == other["host"]
        and datetime.fromisoformat(other["started"]) <= started
        and ended <= datetime.fromisoformat(other["ended"])
    )
