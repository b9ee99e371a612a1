from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from comparison import Compared

from olivine.artifacts import Artifact
from olivine.artifacts.record import records_folder
from olivine.errors import IntegrityError
from olivine.report.costs import newest_record, stage_costs
from olivine.report.trace import trace


def costs(compared: Compared):
    return stage_costs(trace(compared.store, compared.all))


def change_record(artifact: Artifact, **changes: Any) -> None:
    """Replace the records of an artifact by one with some other values."""
    record = newest_record(artifact)
    assert record is not None
    for key in list(artifact.store.list(records_folder(artifact.manifest))):
        artifact.store.delete(key)
    add_record(artifact, "changed", record | changes)


def add_record(artifact: Artifact, name: str, record: dict[str, Any]) -> None:
    artifact.store.create(f"{records_folder(artifact.manifest)}/{name}.json", json.dumps(record).encode())


def artifact_of(compared: Compared, kind: str) -> Artifact:
    found = trace(compared.store, compared.all).of_kind(kind)
    assert found is not None
    return found


def test_times_are_summed_and_memory_is_the_greatest(own_compared: Compared):
    for number, artifact in enumerate(own_compared.all):
        change_record(artifact, wall_s=10.0**number, peak_rss_mb=100.0 + number, cpu_s=2.0)
    cost = costs(own_compared)["evaluate"]
    assert (cost.num_artifacts, cost.wall_s, cost.cpu_s, cost.peak_rss_mb) == (4, 1111.0, 8.0, 103.0)


def test_the_newest_run_counts(own_compared: Compared):
    drives = artifact_of(own_compared, "drives")
    record = newest_record(drives)
    assert record is not None
    later = (datetime.fromisoformat(record["started"]) + timedelta(hours=1)).isoformat()
    add_record(drives, "0-later", record | {"started": later, "wall_s": 77.0})
    assert costs(own_compared)["ingest"].wall_s == 77.0


def test_features_encoded_on_the_way_are_in_the_time_of_pretraining_already(compared: Compared):
    record = newest_record(artifact_of(compared, "backbone"))
    assert record is not None
    cost = costs(compared)["pretrain"]
    assert (cost.num_artifacts, cost.wall_s) == (2, record["wall_s"])


def test_features_encoded_before_are_added(own_compared: Compared):
    features, backbone = (artifact_of(own_compared, kind) for kind in ("image_features", "backbone"))
    change_record(backbone, wall_s=5.0)
    change_record(features, started="2020-01-01T00:00:00+00:00", ended="2020-01-01T00:01:00+00:00", wall_s=60.0)
    assert costs(own_compared)["pretrain"].wall_s == 65.0


def test_without_records_a_cost_is_not_known(own_compared: Compared):
    drives = artifact_of(own_compared, "drives")
    for key in list(drives.store.list(records_folder(drives.manifest))):
        drives.store.delete(key)
    cost = costs(own_compared)["ingest"]
    assert (cost.wall_s, cost.cpu_s, cost.peak_rss_mb, cost.written_bytes) == (None, None, None, None)
    assert cost.data_bytes == sum(blob.size_bytes for blob in drives.manifest.data)


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"started": 1}'])
def test_a_damaged_record_is_named(own_compared: Compared, content: bytes):
    drives = artifact_of(own_compared, "drives")
    own_compared.store.create(f"{records_folder(drives.manifest)}/damaged.json", content)
    with pytest.raises(IntegrityError, match=r"damaged\.json"):
        costs(own_compared)
