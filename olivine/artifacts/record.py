"""The record of a run: what differs from run to run (host, time, memory), kept beside the artifact, not in it."""

from __future__ import annotations

import resource
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from olivine.artifacts.digest import canonical_json
from olivine.artifacts.environment import describe_host

if TYPE_CHECKING:
    from olivine.artifacts.manifest import Manifest
    from olivine.store import Store


@dataclass
class RunRecorder:
    """Measures one run of a stage from its making to `finish`."""

    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    facts: dict[str, Any] = field(default_factory=dict)
    """What the stage adds of its own: throughput, devices, how it was carried out."""

    _start_s: float = field(default_factory=time.monotonic)
    _cpu_s: float = field(default_factory=lambda: _cpu_seconds())

    def measure(self, store: Store) -> dict[str, Any]:
        """Host, times, peak memory (of this process and of its largest child) and traffic so far."""
        own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return {
            "run": self.run,
            "started": self.started.isoformat(),
            "ended": datetime.now(UTC).isoformat(),
            "wall_s": round(time.monotonic() - self._start_s, 3),
            "cpu_s": round(_cpu_seconds() - self._cpu_s, 3),
            "peak_rss_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 1),
            "read_bytes": store.traffic.read_bytes,
            "written_bytes": store.traffic.written_bytes,
            "requests": store.traffic.requests,
            **describe_host(),
            **self.facts,
        }

    def finish(self, store: Store, published: Manifest, own_data_digest: str) -> dict[str, Any]:
        """Write the record to `records/runs/<stage>/<id>/<run>.json`; return what was measured.

        Args:
            store: where the artifact was published.
            published: the manifest that is there now, this run's or that of one that was faster.
            own_data_digest: digest of the data that this run made.
        """
        measured = self.measure(store)
        facts = {"artifact": published.input_ref().model_dump(), "data_digest": own_data_digest, **measured}
        store.create(f"{records_folder(published)}/{self.run}.json", canonical_json(facts))
        return measured


def records_folder(manifest: Manifest) -> str:
    """Where the records of the runs that made this artifact are."""
    return f"records/runs/{manifest.stage}/{manifest.id}"


def _cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
