"""Parquet bytes as a table, read on the thread that asks."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """All columns or those named.

    `pq.read_table` starts threads, and a process that ends soon after may find them starting and abort with exit code
    134 in the place of its own, as an error after the first read does.

    Raises:
        ArrowInvalid, OSError: no Parquet file. KeyError: a column is not there.
    """
    wanted = None if columns is None else list(columns)
    table = pq.ParquetFile(io.BytesIO(data), pre_buffer=False).read(columns=wanted, use_threads=False)
    return table if wanted is None else table.select(wanted)
