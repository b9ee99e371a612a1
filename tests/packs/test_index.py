from __future__ import annotations

import pyarrow as pa
import pytest

from olivine.errors import IntegrityError
from olivine.packs import INDEX_COLUMNS, Entry, PackIndex, build_shard, index_bytes

ROWS = build_shard("a.tar", [Entry("t1", {"x": b"1"}, columns={"n": 5}), Entry("t2", {"x": b"2"}, columns={"n": 6})])[1]


def test_columns_and_positions():
    index = PackIndex(index_bytes(ROWS, {"n": pa.int64()}), "index")
    assert len(index) == 2
    assert index.table.column_names == [*INDEX_COLUMNS, "n"]
    assert (index.column("n"), index.position("t2"), index.position("t3")) == ([5, 6], 1, None)
    assert index.value("shard", 0) == "a.tar"


def test_same_rows_same_bytes():
    assert index_bytes(ROWS, {"n": pa.int64()}) == index_bytes(ROWS, {"n": pa.int64()})


def test_an_index_without_rows_keeps_its_columns():
    assert PackIndex(index_bytes([], {"n": pa.int64()}), "index").column("n") == []


@pytest.mark.parametrize("data", [b"", b"PAR1 no parquet PAR1"])
def test_damage_is_named(data):
    with pytest.raises(IntegrityError, match="drives 12: not a Parquet index"):
        PackIndex(data, "drives 12")


def test_a_missing_column_is_named():
    short = [{name: value for name, value in row.items() if name != "head_sha256"} for row in ROWS]
    buffer = pa.BufferOutputStream()
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(short), buffer)
    with pytest.raises(IntegrityError, match="has no column head_sha256"):
        PackIndex(buffer.getvalue().to_pybytes(), "drives 12")
