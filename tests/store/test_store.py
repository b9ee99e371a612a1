"""The contract of a store, the same for a directory and for S3."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from olivine.errors import DataError, UsageError
from olivine.store import Pieces, Ref, Store, open_store

ODD_KEY = "a+b=c@d._-/x+y=z@._-/" + "n" * 200


def test_an_object_is_created_once(store: Store) -> None:
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"
    assert store.size("a/b") == 5


@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)) * 5000])
def test_bytes_come_back(store: Store, data: bytes) -> None:
    store.create("k", data)
    assert store.read("k") == data
    assert store.size("k") == len(data)


def test_a_file_is_written_like_bytes(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"from a file" * 1000)
    assert store.create("k", source)
    assert store.read("k") == source.read_bytes()
    assert store.traffic.written_bytes == 11_000


# The second goes to S3 in three parts, which begin and end elsewhere than the pieces.
@pytest.mark.parametrize("parts", [[b"ab", b"", b"c"], [b"0" * 100, bytes(range(256)) * 70_000], [b""]])
def test_content_is_created_once(store: Store, parts: list[bytes]) -> None:
    pieces, whole = Pieces(parts), b"".join(parts)
    assert store.create_content(pieces, lambda: "k")
    assert not store.create_content(Pieces([b"other" * 4_000_000]), lambda: "k")
    assert store.traffic.written_bytes == len(whole)
    assert store.read("k") == whole
    assert store.holds("k", pieces)


def test_other_bytes_are_not_held(store: Store) -> None:
    whole = bytes(range(256)) * 70_000
    store.create_content(Pieces([whole]), lambda: "k")
    assert store.holds("k", Pieces([whole[:1000], whole[1000:]]))
    for other in (whole[:-1], whole + b"!", b"!" + whole[1:], whole[:-1] + b"!", b""):
        assert not store.holds("k", Pieces([other]))
    with pytest.raises(FileNotFoundError):
        store.holds("none", Pieces([whole]))


def test_a_bad_key_of_content_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="is not a store key"):
        store.create_content(Pieces([b"data"]), lambda: "../k")
    assert list(store.list("")) == []


def test_all_characters_of_keys(store: Store) -> None:
    assert store.create(ODD_KEY, b"1")
    assert store.read(ODD_KEY) == b"1"
    assert list(store.list("")) == [ODD_KEY]


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (3, 4), (9, 1), (0, 99), (7, 99), (10, 1), (99, 5), (4, 0)])
def test_ranges_are_slices(store: Store, offset: int, length: int) -> None:
    store.create("k", b"0123456789")
    assert store.read_range("k", offset, length) == b"0123456789"[offset : offset + length]


def test_a_range_of_an_empty_object(store: Store) -> None:
    store.create("k", b"")
    assert store.read_range("k", 0, 10) == b""


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, -1), (1, 1 << 70), (1 << 70, 1)])
def test_impossible_ranges(store: Store, offset: int, length: int) -> None:
    store.create("k", b"0123456789")
    with pytest.raises(DataError, match="not a range"):
        store.read_range("k", offset, length)


def test_a_huge_range_takes_no_memory(store: Store) -> None:
    store.create("k", b"0123456789")
    assert store.read_range("k", 5, 1 << 60) == b"56789"


def test_missing_keys(store: Store) -> None:
    for key in ("none", "no/such/key"):
        with pytest.raises(FileNotFoundError):
            store.read(key)
        with pytest.raises(FileNotFoundError):
            store.read_range(key, 0, 1)
        assert store.size(key) is None
        store.delete(key)
    assert store.read_ref("none") is None


def test_a_folder_is_not_an_object(store: Store) -> None:
    store.create("folder/k", b"1")
    with pytest.raises(FileNotFoundError):
        store.read("folder")
    with pytest.raises(FileNotFoundError):
        store.read("folder/k/below")
    assert store.size("folder") is None


def test_list_by_folder(store: Store) -> None:
    keys = {"a/1", "a/b/2", "ab/3", "c"} | {f"many/{number:04d}" for number in range(1100)}
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda key: store.create(key, b""), keys))
    assert set(store.list("")) == keys
    assert sorted(store.list("a")) == ["a/1", "a/b/2"]
    assert list(store.list("a/b")) == ["a/b/2"]
    assert len(list(store.list("many"))) == 1100
    assert list(store.list("none")) == []
    assert list(store.list("a/1")) == []


def test_delete(store: Store) -> None:
    store.create("a/b", b"1")
    store.delete("a/b")
    assert store.size("a/b") is None
    assert list(store.list("")) == []
    assert store.create("a/b", b"2")


def test_two_stores_in_one_place_do_not_see_each_other(store_url: str) -> None:
    one, other = open_store(f"{store_url}/one"), open_store(f"{store_url}/one-more")
    one.create("k", b"1")
    assert list(other.list("")) == []
    assert open_store(one.url).read("k") == b"1"


def test_a_ref_moves_only_from_what_was_read(store: Store) -> None:
    assert store.move_ref("runs/a", b"1", None)
    assert not store.move_ref("runs/a", b"2", None)
    first = store.read_ref("runs/a")
    assert first is not None
    assert first.content == b"1"
    assert store.move_ref("runs/a", b"2", first)
    assert not store.move_ref("runs/a", b"3", first)
    second = store.read_ref("runs/a")
    assert second is not None
    assert second.content == b"2"
    assert list(store.list("refs")) == ["refs/runs/a"]


def test_a_ref_that_was_never_there_does_not_move(store: Store) -> None:
    assert not store.move_ref("a", b"2", Ref(b"1", '"c4ca4238a0b923820dcc509a6f75849b"'))  # pragma: allowlist secret
    assert store.read_ref("a") is None


def test_traffic_is_counted(store: Store) -> None:
    store.create("k", b"12345")
    store.create("k", b"12345")
    store.read("k")
    store.read_range("k", 1, 3)
    assert store.traffic.written_bytes == 5
    assert store.traffic.read_bytes == 8
    assert store.traffic.requests == 4
    assert store.traffic.reads == {"k": 2}


def test_a_store_can_be_sent_to_another_process(store: Store) -> None:
    store.create("k", b"12345")
    copy = pickle.loads(pickle.dumps(store))
    assert copy.url == store.url
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(store.read, ("k",)) == b"12345"


def test_of_64_writers_one_creates(store: Store, store_url: str) -> None:
    # SeaweedFS lets writers of one key wait for each other in steps of a second, across processes above all.
    processes = 2 if store_url.startswith("s3:") else 8
    assert sum(_race("create", store_url, processes, 64 // processes)) == 1
    assert store.read("race/one").decode() in {f"{p}-{t}" for p in range(processes) for t in range(64 // processes)}


def test_concurrent_writers_lose_no_update_of_a_ref(store: Store, store_url: str) -> None:
    num_writers = 16 if store_url.startswith("s3:") else 64
    assert sum(_race("count", store_url, 4, num_writers // 4)) == num_writers
    ref = store.read_ref("counter")
    assert ref is not None
    assert int(ref.content.split()[0]) == num_writers


@pytest.mark.parametrize("name", ["", "../x", "/x", "a//b", "a/", ".", "..", "a/../b", "a\0b", "ä", "a b", "a\n", ".a"])
def test_bad_keys_are_refused_everywhere(store: Store, name: str) -> None:
    calls = [
        lambda: store.create(name, b""),
        lambda: store.read(name),
        lambda: store.read_range(name, 0, 1),
        lambda: store.size(name),
        lambda: store.delete(name),
        lambda: store.read_ref(name),
        lambda: store.move_ref(name, b"", None),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="not a store key"):
            call()
    if name:
        with pytest.raises(UsageError, match="not a store key"):
            store.list(name)
    assert list(store.list("")) == []


def _race(action: str, url: str, processes: int, threads: int) -> list[int]:
    worker = Path(__file__).with_name("store_worker.py")
    racers = [
        subprocess.Popen(
            [sys.executable, str(worker), action, url, str(number), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=120)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * processes
    return [int(answer) for answer in answers]
