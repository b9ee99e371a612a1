"""One wrong bit, or a missing end, in any of 10 000 places: found before the data are used."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from olivine.artifacts import Artifact, sha256_hex, verify
from olivine.errors import IntegrityError
from olivine.store import open_store

NUM_FLIPS, NUM_CUTS, NUM_S3 = 10_000, 1_000, 20


@pytest.fixture
def artifact(tmp_path: Path, publish_sample: Callable[..., Artifact]) -> Artifact:
    return publish_sample(open_store(str(tmp_path)), size_bytes=2000)


def flip(data: bytes, draw: random.Random) -> tuple[bytes, int]:
    """The data with one wrong bit, and the position of its byte."""
    position = draw.randrange(len(data))
    changed = bytearray(data)
    changed[position] ^= 1 << draw.randrange(8)
    return bytes(changed), position


def write_over(file: Path, data: bytes) -> None:
    """In place: a file that is emptied and written again is flushed by ext4, which takes ten times as long."""
    with file.open("r+b") as opened:
        opened.write(data)
        opened.truncate()


def test_flipped_bits_in_a_directory(artifact: Artifact, tmp_path: Path) -> None:
    draw = random.Random(0)
    files = {blob.path: tmp_path / blob.key for blob in artifact.manifest.data}
    good = {path: file.read_bytes() for path, file in files.items()}
    for number in range(NUM_FLIPS):
        path = draw.choice(sorted(files))
        damaged, position = flip(good[path], draw)
        offset = draw.randint(0, position)
        length = draw.randint(position - offset + 1, len(damaged) - offset)
        write_over(files[path], damaged)
        with pytest.raises(IntegrityError):
            artifact.read(path)
        with pytest.raises(IntegrityError):
            artifact.read_range(path, offset, length, sha256_hex(good[path][offset : offset + length]))
        if number % 10 == 0:
            assert len(verify(artifact)) == 1
        write_over(files[path], good[path])
    assert verify(artifact) == []


def test_missing_ends_in_a_directory(artifact: Artifact, tmp_path: Path) -> None:
    draw = random.Random(0)
    file = tmp_path / artifact.manifest.blob("shard/a.bin").key
    good = file.read_bytes()
    for _ in range(NUM_CUTS):
        end = draw.randrange(len(good))
        offset = draw.randrange(len(good))
        length = draw.randint(max(1, end - offset + 1), len(good) - offset)
        write_over(file, good[:end])
        with pytest.raises(IntegrityError):
            artifact.read("shard/a.bin")
        with pytest.raises(IntegrityError):
            artifact.read_range("shard/a.bin", offset, length, sha256_hex(good[offset : offset + length]))
        assert len(verify(artifact)) == 1


def test_damage_in_s3(s3_store_url: str, publish_sample: Callable[..., Artifact]) -> None:
    artifact = publish_sample(open_store(s3_store_url))
    store, blob = artifact.store, artifact.manifest.blob("shard/a.bin")
    good, draw = store.read(blob.key), random.Random(0)
    for number in range(NUM_S3):
        damaged, position = flip(good, draw) if number % 2 else (good[: draw.randrange(1000)], 999)
        store.delete(blob.key)
        store.create(blob.key, damaged)
        with pytest.raises(IntegrityError):
            artifact.read("shard/a.bin")
        with pytest.raises(IntegrityError):
            artifact.read_range("shard/a.bin", position, 1, sha256_hex(good[position : position + 1]))
        assert len(verify(artifact)) == 1


def test_torch_load_is_given_the_same(tmp_path: Path) -> None:
    """What it does not find is figures for docs/reliability.md, not a matter of this test."""
    worker = Path(__file__).with_name("torch_bits_worker.py")
    command = [sys.executable, str(worker), str(tmp_path), "200"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=200).stdout)
    print(report)
    assert report["tries"] == 200 == report["survived"] + report["lost"]
