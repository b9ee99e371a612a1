"""What only a directory needs: durability, leftovers of killed writers, locks, errors of the file system."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from olivine.errors import ConfigError, StoreError, UsageError
from olivine.store import Pieces, open_store

KILLED_WHILE_WRITING = """
import os, signal, sys
from olivine.store import open_store
store = open_store(sys.argv[1])
os.link = lambda source, target: os.kill(os.getpid(), signal.SIGKILL)
store.create("blobs/a", b"x" * 100_000)
"""
KILLED_WHILE_MOVING_A_REF = """
import os, pathlib, signal, sys
from olivine.store import open_store
store = open_store(sys.argv[1])
pathlib.Path.replace = lambda source, target: os.kill(os.getpid(), signal.SIGKILL)
store.move_ref("a", b"2", store.read_ref("a"))
"""


def test_what_a_killed_writer_leaves_is_no_object_and_goes(tmp_path: Path) -> None:
    _run_killed(KILLED_WHILE_WRITING, tmp_path)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size == 100_000]
    assert len(left) == 1
    store = open_store(str(tmp_path))
    assert list(store.list("")) == []
    assert store.size("blobs/a") is None
    assert not left[0].exists()
    assert store.create("blobs/a", b"y")


def test_a_file_that_is_being_written_is_not_swept_away(tmp_path: Path) -> None:
    open_store(str(tmp_path)).create("a", b"1")
    being_written = tmp_path / ".staging" / ("0" * 32)
    being_written.write_bytes(b"half")
    with (tmp_path / ".staging.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        store = open_store(str(tmp_path))
        assert being_written.exists()
        assert store.create("b", b"2")
    open_store(str(tmp_path))
    assert not being_written.exists()


def test_a_killed_holder_of_the_lock_blocks_nobody(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.move_ref("a", b"1", None)
    _run_killed(KILLED_WHILE_MOVING_A_REF, tmp_path)
    ref = store.read_ref("a")
    assert ref is not None
    assert ref.content == b"1"
    assert store.move_ref("a", b"3", ref)


def test_everything_is_flushed_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path))
    store.create("new/folder/first", b"0")
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def seen_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)
        steps.append(f"flush {path.parts[0]}" if path.parts else "flush top")
        fsync(descriptor)

    def seen_link(source: Path, target: Path) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", seen_link)
    store.create("new/folder/second", b"1")
    assert steps == ["flush .staging", "link", "flush new"]
    steps.clear()
    store.create("new/folder/second", b"1")
    assert steps == ["flush new"]
    steps.clear()
    store.create("other/third", b"1")
    assert steps == ["flush top", "flush .staging", "link", "flush other"]
    steps.clear()
    store.create_content(Pieces([b"1", b"2"]), lambda: "more/fourth")
    assert steps == ["flush .staging", "flush top", "link", "flush more"]


def test_only_objects_are_listed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("a/b", b"1")
    store.move_ref("r", b"1", None)
    for name in ("a/.hidden", "a/b#1", "a/ä", "a/~backup"):
        (tmp_path / name).write_bytes(b"not ours")
    assert list(store.list("")) == ["a/b", "refs/r"]


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        store = open_store(str(tmp_path / "store"))
        store.create("a", b"1")
        store.move_ref("r", b"1", None)
    finally:
        os.umask(before)
    assert {oct((tmp_path / "store" / name).stat().st_mode & 0o777) for name in ("a", "refs/r")} == {"0o640"}


def test_an_object_below_an_object(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("a", b"1")
    store.create("b/c", b"1")
    store.move_ref("x/y", b"1", None)
    calls = [lambda: store.create("a/below", b"2"), lambda: store.create("b", b"2"), lambda: store.delete("b")]
    for call in [*calls, lambda: store.move_ref("x", b"2", None)]:
        with pytest.raises(UsageError, match="cannot hold an object under this key"):
            call()
    assert list(store.list("")) == ["a", "b/c", "refs/x/y"]


def test_a_file_instead_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be used as a store directory"):
        open_store(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.EIO, StoreError), (errno.EACCES, ConfigError), (errno.EROFS, ConfigError), (errno.EPERM, ConfigError)],
)
def test_errors_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    store = open_store(str(tmp_path))

    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(error, match=re_path(tmp_path / "a")):
        store.create("a", b"1")
    assert list((tmp_path / ".staging").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_no_rights(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("a/b", b"1")
    (tmp_path / "a").chmod(0)
    try:
        for call in (lambda: store.read("a/b"), lambda: store.create("a/c", b""), lambda: list(store.list(""))):
            with pytest.raises(ConfigError, match="not permitted"):
                call()
    finally:
        (tmp_path / "a").chmod(0o700)


def re_path(path: Path) -> str:
    return str(path).replace(".", r"\.")


def _run_killed(program: str, folder: Path) -> None:
    answer = subprocess.run([sys.executable, "-c", program, str(folder)], timeout=60, check=False)
    assert answer.returncode == -signal.SIGKILL
