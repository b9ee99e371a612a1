"""The cache of a node: what it gives is always what was asked for."""

from __future__ import annotations

import os
import pickle

import pytest

from olivine.artifacts import sha256_hex
from olivine.errors import ConfigError
from olivine.packs import DiskCache


def item(number, size=100):
    data = bytes([number]) * size
    return sha256_hex(data), data


def files(folder):
    return sorted(path for path in folder.glob("??/*"))


def test_read_once_from_the_store(tmp_path):
    digest, data = item(1)
    asked = []
    cache = DiskCache(tmp_path, 10_000)
    for _ in range(3):
        assert cache.get(digest, lambda: asked.append(1) or data) == data
    assert (len(asked), cache.hits, cache.misses) == (1, 2, 1)
    assert pickle.loads(pickle.dumps(cache)).get(digest, lambda: b"") == data


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"\0" + data[1:], lambda data: b""])
def test_damage_is_never_handed_out(tmp_path, damage):
    digest, data = item(1)
    cache = DiskCache(tmp_path, 10_000)
    cache.get(digest, lambda: data)
    (file,) = files(tmp_path)
    file.write_bytes(damage(data))
    assert cache.get(digest, lambda: data) == data
    assert file.read_bytes() == data
    assert cache.misses == 2


def test_what_was_not_used_for_longest_goes(tmp_path):
    cache = DiskCache(tmp_path, 1000)
    for number in range(10):
        digest, data = item(number)
        cache.get(digest, lambda data=data: data)
        os.utime(tmp_path / digest[:2] / digest, (number, number))
    first, data = item(0)
    assert cache.get(first, lambda: b"") == data
    newest = [item(number) for number in (20, 21)]
    for digest, data in newest:
        cache.get(digest, lambda data=data: data)
    left = {file.name for file in files(tmp_path)}
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 1000
    assert {first, *(digest for digest, _ in newest)} <= left
    assert item(1)[0] not in left


def test_a_disk_that_takes_nothing_costs_time_alone(tmp_path, monkeypatch):
    digest, data = item(1)
    cache = DiskCache(tmp_path, 10_000)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert cache.get(digest, lambda: data) == data
    assert files(tmp_path) == []


def test_too_large_for_the_cache(tmp_path):
    digest, data = item(1, 2000)
    assert DiskCache(tmp_path, 1000).get(digest, lambda: data) == data
    assert files(tmp_path) == []


def test_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used as a cache"):
        DiskCache(tmp_path / "file" / "cache", 1000)
