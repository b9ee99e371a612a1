"""Verification finds every change, in the artifact and in all that it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olivine.artifacts import Artifact, Manifest, open_artifact, verify
from olivine.store import open_store

Chain = tuple[Artifact, Artifact]


@pytest.fixture
def chain(tmp_path: Path, publish_sample: Callable[..., Artifact]) -> Chain:
    """Drives, and weak labels made from them."""
    drives = publish_sample(open_store(str(tmp_path)), 1)
    return drives, publish_sample(drives.store, 2, drives=drives)


def replace_manifest(artifact: Artifact, **changes: Any) -> None:
    """As a careful forger would: with fitting digests of its own."""
    forged = artifact.manifest.model_copy(update=changes).seal()
    artifact.store.delete(artifact.manifest.key)
    artifact.store.create(artifact.manifest.key, forged.to_json())


def reopen(artifact: Artifact) -> Artifact:
    found = open_artifact(artifact.store, artifact.manifest.stage, artifact.id)
    assert found is not None
    return found


def test_a_sound_chain(chain: Chain) -> None:
    assert verify(chain[1]) == []


@pytest.mark.parametrize("position", [0, 1])
def test_changed_and_missing_data_anywhere_in_the_chain(chain: Chain, position: int, tmp_path: Path) -> None:
    artifact = chain[position]
    (tmp_path / artifact.manifest.blob("shard/a.bin").key).write_bytes(b"x" * 1000)
    assert [problem for problem in verify(chain[1]) if "promised digest" in problem and "shard/a.bin" in problem]
    artifact.store.delete(artifact.manifest.blob("shard/a.bin").key)
    assert [problem for problem in verify(chain[1]) if "is missing" in problem]


def test_a_missing_input(chain: Chain) -> None:
    chain[0].store.delete(chain[0].manifest.key)
    (problem,) = verify(chain[1])
    assert "its drives" in problem
    assert "is missing" in problem


def test_a_damaged_manifest_of_an_input(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / chain[0].manifest.key
    path.write_bytes(path.read_bytes().replace(b'"frames":3', b'"frames":4'))
    (problem,) = verify(chain[1])
    assert "changed after it was published" in problem


def test_a_forged_manifest_of_an_input_is_found_by_what_was_made_from_it(chain: Chain) -> None:
    replace_manifest(chain[0], counts={"frames": 4})
    (problem,) = verify(chain[1])
    assert "is not what it was made from" in problem


def test_a_forged_manifest_is_found_by_the_record_of_its_run(chain: Chain) -> None:
    replace_manifest(chain[1], summary={"headline": 0.99})
    (problem,) = verify(reopen(chain[1]))
    assert "is not the manifest that records/runs/label/" in problem


def test_a_damaged_record(chain: Chain, tmp_path: Path) -> None:
    (key,) = chain[0].store.list("records/runs/ingest")
    for damaged in (b"", b"[]", b"{}", b"[" * 100_000, b'{"artifact": 1}'):
        (tmp_path / key).write_bytes(damaged)
        (problem,) = verify(chain[1])
        assert key in problem


def test_an_input_shared_by_many_is_read_once(chain: Chain, publish_sample: Callable[..., Artifact]) -> None:
    drives, labels = chain
    top = publish_sample(drives.store, 3, drives=drives, weak_labels=labels)
    drives.store.traffic.reads.clear()
    assert verify(top) == []
    assert drives.store.traffic.reads[drives.manifest.blob("shard/a.bin").key] == 1


def test_the_record_names_what_was_published(chain: Chain) -> None:
    (key,) = chain[0].store.list(f"records/runs/ingest/{chain[0].id}")
    record = json.loads(chain[0].store.read(key))
    manifest = Manifest.from_json(chain[0].store.read(chain[0].manifest.key), "here")
    assert record["artifact"] == manifest.input_ref().model_dump()
    assert record["data_digest"] == manifest.data_digest
    assert record["wall_s"] >= 0
    assert record["written_bytes"] >= 1000
    assert {"host", "cores", "peak_rss_mb", "started", "ended", "device"} <= record.keys()
