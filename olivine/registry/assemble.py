"""The drives of a plan as one data set in nuScenes layout, which the stage `ingest` reads like any other.

Sensor files lie side by side; the tables are joined row by row. Every file is checked against its digest.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from olivine.errors import DataError
from olivine.progress import Progress
from olivine.registry.documents import read_document
from olivine.registry.plan import Plan
from olivine.registry.ready import Ready, ReadyFile, read_file, ready_key
from olivine.store import Store

_WORKERS = 16
_SPLITS = "splits.json"


def assemble(store: Store, plan: Plan, folder: Path) -> Path:
    """Fetch the drives of `plan` into `folder`, which must be empty; return it.

    Raises:
        DataError: a drive was changed since it was planned, a file is missing or damaged, or two drives say different
            things under one name.
    """
    drives = [_open_drive(store, drive.name, drive.ready_digest) for drive in plan.drives]
    tables: dict[str, Any] = {}
    owners: dict[str, tuple[str, str]] = {}
    work = [(ready.drive, file) for ready in drives for file in ready.files]
    with Progress("assemble", len(work), "files") as progress, ThreadPoolExecutor(_WORKERS) as workers:
        for (drive, file), data in zip(work, workers.map(lambda item: read_file(store, *item), work), strict=True):
            if file.path.startswith(f"{plan.version}/"):
                _join(tables, drive, file.path, data)
            elif _is_new(owners, drive, file):
                path = folder / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            progress.advance()
    for name, content in tables.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content.rows() if isinstance(content, _Table) else content))
    return folder


class _Table:
    """Rows by token. A row that several drives share must be the same in all of them."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {}

    def add(self, row: Any, where: str) -> None:
        if not isinstance(row, dict) or not isinstance(row.get("token"), str):
            raise DataError(f"{where}: a row without a token. Export the drive again.")
        token = row["token"]
        known = self._rows.setdefault(token, row)
        if known is not row and known != row:
            self._rows[token] = _join_rows(known, row, where)

    def rows(self) -> list[dict[str, Any]]:
        return list(self._rows.values())


def _open_drive(store: Store, name: str, digest: str) -> Ready:
    try:
        ready = read_document(store, ready_key(name), Ready)
    except FileNotFoundError as error:
        raise DataError(f"{store.url}/{ready_key(name)} is gone since it was planned. Plan again.") from error
    if ready.digest != digest:
        raise DataError(f"{store.url}/{ready_key(name)} was changed since it was planned. Plan again.")
    return ready


def _is_new(owners: dict[str, tuple[str, str]], drive: str, file: ReadyFile) -> bool:
    first, digest = owners.setdefault(file.path, (drive, file.sha256))
    if digest != file.sha256:
        raise DataError(f"{file.path} is in the drives {first} and {drive} with different bytes. Rename it in one.")
    return first == drive


def _join(tables: dict[str, Any], drive: str, path: str, data: bytes) -> None:
    where = f"{path} of drive {drive}"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({error}). Export the drive again.") from None
    if path.endswith(f"/{_SPLITS}") and isinstance(content, dict):
        joined = tables.setdefault(path, {})
        for split, scenes in content.items():
            joined.setdefault(split, []).extend(scene for scene in scenes if scene not in joined[split])
        return
    if not isinstance(content, list):
        raise DataError(f"{where} is not a table: a list of rows was expected. Export the drive again.")
    table = tables.setdefault(path, _Table())
    for row in content:
        table.add(row, where)


def _join_rows(known: dict[str, Any], row: dict[str, Any], where: str) -> dict[str, Any]:
    """Rows of one token that differ: only lists of tokens may (the logs of a map), and are joined."""
    joined = dict(known)
    for name, value in row.items():
        if isinstance(value, list) and name.endswith("_tokens") and isinstance(known.get(name), list):
            joined[name] = [*known[name], *(item for item in value if item not in known[name])]
        elif known.get(name) != value:
            raise DataError(
                f"{where}: token {row['token'][:40]} has another {name} than in an earlier drive. Give the drives "
                "tokens of their own."
            )
    return joined
