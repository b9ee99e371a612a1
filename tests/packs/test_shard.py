"""Tar shards: the same bytes for the same entries, plain to `tar`, one range read a keyframe."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivine.artifacts.digest import sha256_hex
from olivine.packs import Entry, build_shard
from olivine.packs.shard import split_members

ENTRIES = [
    Entry("00aa", {"points.npy": b"p" * 513, "meta.json": b"{}"}, {"CAM_FRONT.jpg": b"j" * 1024}, {"split": "train"}),
    Entry("00bb", {"points.npy": b""}, {}, {"split": "test"}),
]


def test_index_rows_point_at_whole_members():
    data, rows = build_shard("shards/00000.tar", ENTRIES)
    assert [row["keyframe"] for row in rows] == ["00aa", "00bb"]
    assert [row["split"] for row in rows] == ["train", "test"]
    assert {row["shard"] for row in rows} == {"shards/00000.tar"}
    for entry, row in zip(ENTRIES, rows, strict=True):
        whole = data[row["offset"] : row["offset"] + row["length"]]
        head = data[row["offset"] : row["offset"] + row["head_length"]]
        assert (sha256_hex(whole), sha256_hex(head)) == (row["sha256"], row["head_sha256"])
        assert split_members(whole) == {**entry.head, **entry.tail}
        assert split_members(head) == entry.head


def test_same_entries_same_bytes():
    assert build_shard("a.tar", ENTRIES) == build_shard("a.tar", ENTRIES)
    assert build_shard("a.tar", ENTRIES)[0] != build_shard("a.tar", ENTRIES[::-1])[0]


def test_tarfile_and_tar_read_it(tmp_path):
    data, _ = build_shard("a.tar", ENTRIES)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        infos = archive.getmembers()
    assert [info.name for info in infos] == [
        "00aa.points.npy",
        "00aa.meta.json",
        "00aa.CAM_FRONT.jpg",
        "00bb.points.npy",
    ]
    assert {(info.mtime, info.uid, info.gid, info.uname, info.gname) for info in infos} == {(0, 0, 0, "", "")}
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    (tmp_path / "a.tar").write_bytes(data)
    subprocess.run(["tar", "-xf", "a.tar"], cwd=tmp_path, check=True)
    assert (tmp_path / "00aa.CAM_FRONT.jpg").read_bytes() == b"j" * 1024


@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(["points.npy", "CAM_BACK.category.png"]), st.binary(max_size=600), min_size=1
            ),
            st.dictionaries(st.sampled_from(["a.jpg", "b.jpg"]), st.binary(max_size=1500)),
        ),
        max_size=4,
    )
)
def test_any_entries_come_back(parts):
    entries = [Entry(f"{number:08x}", head, tail) for number, (head, tail) in enumerate(parts)]
    data, rows = build_shard("a.tar", entries)
    assert len(data) % 512 == 0
    for entry, row in zip(entries, rows, strict=True):
        assert split_members(data[row["offset"] : row["offset"] + row["length"]]) == {**entry.head, **entry.tail}
