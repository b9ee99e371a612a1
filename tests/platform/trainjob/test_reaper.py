"""The reaper ends what nobody watches, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from olivine.platform.trainjob.cluster import Cluster
from olivine.platform.trainjob.reaper import KEEP_ENDED, LEASE, reap
from olivine.platform.trainjob.spec import HEARTBEAT, MANAGED_BY

from .fake_cluster import FakeCluster, condition

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def add_job(
    fake: FakeCluster, name: str, beat: datetime | str | None, labels: dict[str, str] = MANAGED_BY, **more: Any
):
    text = beat.isoformat() if isinstance(beat, datetime) else beat
    metadata = {
        "name": name,
        "labels": labels,
        "annotations": {HEARTBEAT: text} if text else {},
        "resourceVersion": "1",
    }
    fake.jobs[name] = {"metadata": metadata | {"creationTimestamp": "2026-11-25T11:00:00Z"}, **more}


def test_what_has_no_heartbeat_is_deleted(fake: FakeCluster, cluster: Cluster) -> None:
    add_job(fake, "dead", NOW - LEASE - timedelta(seconds=1))
    add_job(fake, "alive", NOW - LEASE + timedelta(seconds=1))
    add_job(fake, "never", None)
    add_job(fake, "nonsense", "yesterday")
    add_job(fake, "of-others", NOW - timedelta(days=1), labels={})
    assert set(reap(cluster, NOW)) == {"dead", "never", "nonsense"}
    assert set(fake.jobs) == {"alive", "of-others"}


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_what_ended_is_kept_for_its_logs_and_then_deleted(fake: FakeCluster, cluster: Cluster, kind: str) -> None:
    ended = condition(kind, at=(NOW - KEEP_ENDED + timedelta(hours=1)).isoformat())
    add_job(fake, "ended", NOW - timedelta(days=6), status=ended)
    assert reap(cluster, NOW) == {}
    assert set(reap(cluster, NOW + timedelta(hours=2))) == {"ended"}


def test_a_beat_that_comes_in_between_saves_the_job(fake: FakeCluster, cluster: Cluster) -> None:
    add_job(fake, "slow", NOW - LEASE - timedelta(seconds=1))

    def beat() -> None:
        fake.jobs["slow"]["metadata"]["resourceVersion"] = "2"

    fake.faults = [("DELETE", "slow", beat)]
    assert reap(cluster, NOW) == {}
    assert set(fake.jobs) == {"slow"}


def test_what_is_being_deleted_is_left_to_it(fake: FakeCluster, cluster: Cluster) -> None:
    add_job(fake, "going", None)
    fake.jobs["going"]["metadata"]["deletionTimestamp"] = "2026-11-25T11:59:00Z"
    assert reap(cluster, NOW) == {}
    assert fake.count("DELETE") == 0
