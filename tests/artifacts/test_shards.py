"""Shards in their order, and of those that an earlier run has kept none is made again."""

from __future__ import annotations

import pytest

from olivine.artifacts import Output, begin
from olivine.artifacts.shards import cut_shards, finish_shards
from olivine.progress import Progress
from olivine.store import open_store


@pytest.mark.parametrize(("count", "per_shard", "sizes"), [(0, 3, []), (3, 3, [3]), (7, 3, [3, 3, 1])])
def test_items_are_cut_in_their_order(count, per_shard, sizes):
    shards = cut_shards(list(range(count)), per_shard)
    assert list(shards) == list(range(len(sizes)))
    assert [len(items) for items in shards.values()] == sizes
    assert [item for items in shards.values() for item in items] == list(range(count))


def test_what_is_kept_is_not_made_again(tmp_path):
    out = begin(open_store(str(tmp_path)), "weigh", "density_weights", {}, {}, seed=0)
    assert isinstance(out, Output)
    made = []

    def make(number, items):
        made.append(number)
        if number == 2:
            raise KeyboardInterrupt
        out.put(f"{number}.bin", bytes(items))
        note = {"items": list(items)}
        out.save_part(f"shard-{number:05d}", [f"{number}.bin"], note)
        return note

    shards = cut_shards([1, 2, 3, 4, 5], 2)
    with Progress("weigh", 5, "keyframes") as progress, pytest.raises(KeyboardInterrupt):
        finish_shards(out, shards, progress, make)
    with Progress("weigh", 5, "keyframes") as progress:
        kept = finish_shards(out, {number: shards[number] for number in (1, 0)}, progress, make)
    assert made == [0, 1, 2]
    assert list(kept) == [1, 0]
    assert kept[1]["items"] == [3, 4]
    assert progress.done == 4, "what an earlier run finished counts"
