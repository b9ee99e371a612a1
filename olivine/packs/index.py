"""The Parquet index of a pack: one row a keyframe, opened as columns, never as a list of objects."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from olivine.errors import IntegrityError
from olivine.packs.parquet import read_parquet

INDEX_COLUMNS = {
    "keyframe": pa.string(),
    "shard": pa.string(),
    "offset": pa.int64(),
    "length": pa.int64(),
    "sha256": pa.string(),
    "head_length": pa.int64(),
    "head_sha256": pa.string(),
}
"""Columns that every pack has; a pack may have more of its own."""


def index_bytes(rows: list[dict[str, Any]], extra: dict[str, pa.DataType]) -> bytes:
    """The index as Parquet bytes. `extra` are the types of the pack's own columns."""
    schema = pa.schema(list((INDEX_COLUMNS | extra).items()))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


class PackIndex:
    """Where each keyframe of a pack lies, by position and by token."""

    def __init__(self, data: bytes, where: str) -> None:
        try:
            self.table = read_parquet(data)
        except (pa.ArrowInvalid, OSError) as error:
            raise IntegrityError(f"{where}: not a Parquet index: {error}. Run the stage that made it again.") from error
        missing = INDEX_COLUMNS.keys() - set(self.table.column_names)
        if missing:
            raise IntegrityError(f"{where}: the index has no column {', '.join(sorted(missing))}.")
        self._positions = {token: row for row, token in enumerate(self.table.column("keyframe").to_pylist())}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> list[Any]:
        """One column as a list."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def position(self, keyframe: str) -> int | None:
        """Row of a keyframe, None when the pack does not hold it."""
        return self._positions.get(keyframe)

    def value(self, name: str, row: int) -> Any:
        """One cell."""
        return self.table.column(name)[row].as_py()
