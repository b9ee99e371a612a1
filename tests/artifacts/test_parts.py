"""Parts: a killed stage goes on after the last complete one, and a damaged one is made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from olivine.artifacts import Output, begin
from olivine.store import Store, open_store


def begin_output(store: Store, number: int = 0) -> Output:
    out = begin(store, "ingest", "drives", {}, {"number": number}, seed=0)
    assert isinstance(out, Output)
    return out


def save_one(store: Store) -> str:
    """A part of two data objects; the key of its file."""
    out = begin_output(store)
    out.put("a", b"data of a")
    out.put("b", b"data of b")
    out.save_part("shard-0", ["a", "b"], {"rows": [1, 2]})
    (key,) = store.list("parts")
    return key


def test_another_run_goes_on(store: Store) -> None:
    save_one(store)
    out = begin_output(store)
    assert out.load_part("shard-1") is None
    assert out.load_part("shard-0") == {"rows": [1, 2]}
    artifact = out.publish({}, {}, ())
    assert [artifact.read(name) for name in ("a", "b")] == [b"data of a", b"data of b"]


def test_parts_belong_to_one_artifact(store: Store) -> None:
    save_one(store)
    assert begin_output(store, number=1).load_part("shard-0") is None


def test_a_second_run_may_save_the_same_part(store: Store) -> None:
    assert save_one(store) == save_one(store)
    assert begin_output(store).load_part("shard-0") == {"rows": [1, 2]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"rows", b"rowz"),
        lambda data: data.partition(b"\n")[2],
        lambda data: b"[" * 100_000,
        lambda data: b"\xff\xfe\n\xff",
    ],
)
def test_a_damaged_part_is_none_and_can_be_saved_again(store: Store, damage) -> None:
    key = save_one(store)
    data = store.read(key)
    store.delete(key)
    store.create(key, damage(data))
    assert begin_output(store).load_part("shard-0") is None
    save_one(store)
    assert begin_output(store).load_part("shard-0") == {"rows": [1, 2]}


def test_a_part_whose_data_are_gone_is_none(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    save_one(store)
    for key in list(store.list("blobs")):
        store.delete(key)
    out = begin_output(store)
    assert out.load_part("shard-0") is None
    assert out.data == {}
