from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain import worker_environment

from olivine.packs.parquet import read_parquet

TABLE = pa.table({"a": ["x", "y"], "b": [1, 2]})

COUNT_THREADS = """
import os, sys
from olivine.packs.parquet import read_parquet
data = sys.stdin.buffer.read()
before = len(os.listdir("/proc/self/task"))
read_parquet(data)
print(len(os.listdir("/proc/self/task")) - before)
"""


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def test_what_was_written_is_read():
    assert read_parquet(parquet(TABLE)) == TABLE
    assert read_parquet(parquet(TABLE), ["b"]) == TABLE.select(["b"])
    assert read_parquet(parquet(TABLE.slice(0, 0))).num_rows == 0


def test_what_is_not_there_is_an_error():
    with pytest.raises(KeyError, match="c"):
        read_parquet(parquet(TABLE), ["a", "c"])
    with pytest.raises((pa.ArrowInvalid, OSError)):
        read_parquet(b"PAR1 no parquet PAR1")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc to count threads in")
def test_no_thread_is_started():
    """One that is still starting when the process ends aborts it."""
    answer = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS],
        input=parquet(TABLE),
        capture_output=True,
        check=True,
        env=worker_environment(),
    )
    assert answer.stdout.decode().strip() == "0"
