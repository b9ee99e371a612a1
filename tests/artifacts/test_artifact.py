"""Finding and reading artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from olivine.artifacts import Artifact, find_artifact, open_artifact, sha256_hex
from olivine.errors import IntegrityError, UsageError
from olivine.store import open_store


@pytest.fixture
def artifact(tmp_path: Path, publish_sample: Callable[..., Artifact]) -> Artifact:
    return publish_sample(open_store(str(tmp_path)))


@pytest.fixture
def shard(artifact: Artifact, tmp_path: Path) -> Path:
    return tmp_path / artifact.manifest.blob("shard/a.bin").key


def test_found_by_its_first_characters(artifact: Artifact) -> None:
    for name in (artifact.id, artifact.id[:6], artifact.id[:40]):
        assert find_artifact(artifact.store, "ingest", name).manifest == artifact.manifest


@pytest.mark.parametrize("name", ["", "12345", "zzzzzz", "f" * 64, "../../x", "x" * 64])
def test_not_found_says_what_there_is(artifact: Artifact, name: str) -> None:
    with pytest.raises(UsageError, match=artifact.id[:12]):
        find_artifact(artifact.store, "ingest", name)


def test_too_short_a_name_is_not_guessed(artifact: Artifact) -> None:
    with pytest.raises(UsageError, match="6 or more"):
        find_artifact(artifact.store, "ingest", artifact.id[:5])


def test_in_an_empty_store_the_stage_to_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run `olivine weigh` first"):
        find_artifact(open_store(str(tmp_path)), "weigh", "123456")


def test_several_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publish_sample: Callable[..., Artifact]
) -> None:
    monkeypatch.setattr("olivine.artifacts.artifact._SHORTEST_PREFIX", 1)
    store = open_store(str(tmp_path))
    ids = [publish_sample(store, number).id for number in range(17)]
    twice = next(first for first in "0123456789abcdef" if sum(id.startswith(first) for id in ids) > 1)
    with pytest.raises(UsageError, match="matches several drives") as caught:
        find_artifact(store, "ingest", twice)
    assert all((id[:12] in str(caught.value)) == id.startswith(twice) for id in ids)


def test_only_the_kind_that_is_asked_for(artifact: Artifact) -> None:
    assert find_artifact(artifact.store, "ingest", artifact.id[:12], kind="drives").id == artifact.id
    for name in (artifact.id, artifact.id[:12]):
        with pytest.raises(UsageError, match="is no checkpoint"):
            find_artifact(artifact.store, "ingest", name, kind="checkpoint")


def test_missing_data(artifact: Artifact, shard: Path) -> None:
    shard.unlink()
    for read in (lambda: artifact.read("shard/a.bin"), lambda: artifact.read_range("shard/a.bin", 0, 1, "0" * 64)):
        with pytest.raises(IntegrityError, match=r"\(shard/a.bin\) is missing"):
            read()


def test_short_data(artifact: Artifact, shard: Path) -> None:
    good = shard.read_bytes()
    shard.write_bytes(good[:500])
    with pytest.raises(IntegrityError, match="500 bytes"):
        artifact.read("shard/a.bin")
    for offset, length in ((490, 20), (500, 10), (900, 50)):
        digest = sha256_hex(good[offset : offset + length])
        with pytest.raises(IntegrityError, match="not those that were written"):
            artifact.read_range("shard/a.bin", offset, length, digest)


def test_longer_data(artifact: Artifact, shard: Path) -> None:
    shard.write_bytes(shard.read_bytes() + b"0")
    with pytest.raises(IntegrityError, match="1001 bytes"):
        artifact.read("shard/a.bin")


def test_a_manifest_in_another_place_is_refused(artifact: Artifact) -> None:
    store, manifest = artifact.store, artifact.manifest
    store.create(f"ingest/{'0' * 64}/manifest.json", manifest.to_json())
    store.create(f"label/{manifest.id}/manifest.json", manifest.to_json())
    for stage, id in (("ingest", "0" * 64), ("label", manifest.id)):
        with pytest.raises(IntegrityError, match="manifest of another artifact"):
            open_artifact(store, stage, id)


def test_a_damaged_manifest_is_not_a_missing_one(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / artifact.manifest.key).write_bytes(b"")
    with pytest.raises(IntegrityError, match="delete it and run its stage again"):
        open_artifact(artifact.store, "ingest", artifact.id)
