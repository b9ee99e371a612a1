"""Files and folders that appear whole or not at all, and never replace anything."""

from __future__ import annotations

import os
import threading

import pytest

from olivine.errors import UsageError
from olivine.exchange import write
from olivine.exchange.write import write_new_file, write_new_folder

MESSAGE = "exists already, and nothing is overwritten"


def test_a_file_in_new_folders(tmp_path):
    write_new_file(tmp_path / "new" / "a", b"1")
    assert (tmp_path / "new" / "a").read_bytes() == b"1"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_a_folder(tmp_path):
    write_new_folder(tmp_path / "new" / "a", {"x": b"1", "y": b"2"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "a").iterdir()} == {"x": b"1", "y": b"2"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


@pytest.mark.parametrize("there", ["file", "empty folder", "folder", "dangling link"])
@pytest.mark.parametrize("wanted", ["file", "folder"])
def test_nothing_is_overwritten(tmp_path, there, wanted):
    path = tmp_path / "a"
    if there == "file":
        path.write_bytes(b"dear")
    elif there == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir()
        if there == "folder":
            (path / "b").write_bytes(b"dear")
    with pytest.raises(UsageError, match=MESSAGE):
        write_new_file(path, b"1") if wanted == "file" else write_new_folder(path, {"b": b"1"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert not (tmp_path / "nowhere").exists()
    if there in ("file", "folder"):
        assert (path if there == "file" else path / "b").read_bytes() == b"dear"


@pytest.mark.parametrize("wanted", ["file", "folder"])
def test_what_appears_meanwhile_stays(tmp_path, monkeypatch, wanted):
    path = tmp_path / "a"
    flush = os.fsync

    def fsync(descriptor):
        if not path.exists():
            path.mkdir()
            (path / "b").write_bytes(b"dear")
        flush(descriptor)

    monkeypatch.setattr(write.os, "fsync", fsync)
    with pytest.raises(UsageError, match=MESSAGE):
        write_new_file(path, b"1") if wanted == "file" else write_new_folder(path, {"b": b"1"})
    assert (path / "b").read_bytes() == b"dear"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("wanted", ["file", "folder"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, wanted):
    def fsync(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        write_new_file(tmp_path / "a", b"1") if wanted == "file" else write_new_folder(tmp_path / "a", {"b": b"1"})
    assert list(tmp_path.iterdir()) == []


def test_of_many_writers_one_wins(tmp_path):
    won = []

    def attempt(number):
        try:
            write_new_file(tmp_path / "a", str(number).encode())
            won.append(number)
        except UsageError:
            pass

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(number).encode() for number in won] == [(tmp_path / "a").read_bytes()]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
