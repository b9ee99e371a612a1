"""Reading a pack through its artifact: what is read, and what is refused."""

from __future__ import annotations

import pytest
from chain import damage

from olivine.errors import DataError, IntegrityError
from olivine.packs import Pack


def test_the_head_is_a_range_of_the_shard(chain):
    drives = chain.made["ingest"]
    pack = Pack(drives)
    token = pack.index.column("keyframe")[4]
    before = chain.made["ingest"].store.traffic.read_bytes
    head = pack.head(token)
    read = chain.made["ingest"].store.traffic.read_bytes - before
    assert read == pack.index.value("head_length", 4) < pack.index.value("length", 4)
    assert sorted(head) == ["meta.json", "pair_pixel.npy", "pair_point.npy", "points.npy"]
    assert sorted(set(pack.whole(token)) - set(head)) == sorted(f"{name}.jpg" for name in CAMERAS)


CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")


def test_an_unknown_keyframe_is_named(chain):
    with pytest.raises(DataError, match=r"keyframe nowhere is not in drives .*quarantined there, or the artifacts"):
        Pack(chain.made["ingest"]).head("nowhere")


def test_damaged_bytes_are_never_returned(own_chain):
    drives = own_chain.made["ingest"]
    pack = Pack(drives)
    assert len(damage(own_chain, drives, "shards/")) == 11
    for read in (pack.head, pack.whole):
        with pytest.raises(IntegrityError, match="are not those that were written"):
            read(pack.index.column("keyframe")[0])
