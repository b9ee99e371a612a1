"""A local mirror of a store's lineage: one SQLite file that can be thrown away and built again at any time.

It holds manifests, newest run records, edges, facts and keyframes, and never anything that the store does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from olivine.artifacts import Manifest
from olivine.artifacts.provenance import facts_of
from olivine.cache import cache_root
from olivine.errors import ConfigError
from olivine.lineage.frames import frame_table
from olivine.lineage.source import Place, StoreSource, newest_run
from olivine.stages import SENSOR_KINDS, WORDS
from olivine.store import Store

_SCHEMA = """
create table about (url text);
create table artifacts (stage text, id text primary key, kind text, manifest text, run text);
create table edges (material text, stage text, id text);
create table facts (sort text, value text, stage text, id text);
create table frames (keyframe text, drive text, id text);
"""
_INDEXES = """
create index edges_by_material on edges (material);
create index facts_by_value on facts (sort, value);
create index frames_by_keyframe on frames (keyframe);
"""
_ORDER = "order by case stage " + " ".join(f"when '{word}' then {n}" for n, word in enumerate(WORDS)) + " end, id"
_READERS = 16


def mirror_path(url: str) -> Path:
    """`lineage/<digest of the store's URL>.sqlite` in the cache."""
    return cache_root() / "lineage" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.sqlite"


def build_mirror(store: Store, path: Path, advance: Callable[[int], None] = lambda count: None) -> int:
    """Read every manifest of the store into a new mirror at `path`, whole or not at all; return how many there are.

    What an existing mirror of the same store holds is not read again: artifacts never change.

    Raises:
        IntegrityError: a manifest is damaged. ConfigError: the file cannot be written.
    """
    source = StoreSource(store)
    known = _known(path, store.url)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with closing(sqlite3.connect(partial)) as database, database:
            database.executescript(_SCHEMA)
            database.execute("insert into about values (?)", (store.url,))
            with ThreadPoolExecutor(_READERS) as pool:
                count = 0
                for row in pool.map(lambda place: known.get(place.id) or _read(source, place), list(source.places())):
                    if row is not None:
                        _insert(database, store, row)
                        count += 1
                        advance(1)
            database.executescript(_INDEXES)
        partial.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"the mirror {path} cannot be written ({error}). Set OLIVINE_CACHE.") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


class MirrorSource:
    """Lineage out of a mirror, which knows what was there when it was built.

    Raises:
        ConfigError: there is no mirror at `path`.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
            (self._url,) = self._database.execute("select url from about").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise ConfigError(f"{path} is no mirror ({error}). Build it: olivine lineage mirror.") from error

    @property
    def url(self) -> str:
        """The mirrored store's."""
        return str(self._url)

    def manifest(self, place: Place) -> Manifest | None:
        """See `Source`."""
        row = self._database.execute(
            "select manifest from artifacts where id = ? and stage = ?", (place.id, place.stage)
        ).fetchone()
        # Built from manifests that were checked, into a file of the user's own.
        return Manifest.model_validate_json(row[0]) if row else None

    def places(self) -> Iterator[Place]:
        """See `Source`."""
        yield from self._places("select stage, id from artifacts")

    def consumers(self, id: str) -> list[Place]:
        """See `Source`."""
        return self._places("select distinct stage, id from edges where material = ?", id)

    def holders(self, sort: str, value: str) -> list[Place]:
        """See `Source`."""
        return self._places("select distinct stage, id from facts where sort = ? and value = ?", sort, value)

    def frame_places(self, keyframe: str) -> list[tuple[Place, str]]:
        """See `Source`."""
        rows = self._database.execute("select id, drive from frames where keyframe = ? order by id", (keyframe,))
        return [(Place("ingest", id), drive) for id, drive in rows]

    def run(self, manifest: Manifest) -> dict[str, Any] | None:
        """See `Source`."""
        row = self._database.execute("select run from artifacts where id = ?", (manifest.id,)).fetchone()
        found: dict[str, Any] | None = json.loads(row[0]) if row and row[0] else None
        return found

    def _places(self, query: str, *values: str) -> list[Place]:
        return [Place(*row) for row in self._database.execute(f"{query} {_ORDER}", values)]


_Row = tuple[Manifest, dict[str, Any] | None]


def _read(source: StoreSource, place: Place) -> _Row | None:
    # A folder without a manifest is no artifact.
    manifest = source.manifest(place)
    return (manifest, newest_run(source.store, manifest)) if manifest else None


def _known(path: Path, url: str) -> dict[str, _Row]:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            if database.execute("select url from about").fetchone() != (url,):
                return {}
            rows = database.execute("select id, manifest, run from artifacts").fetchall()
    except sqlite3.Error:
        return {}
    return {
        id: (Manifest.model_validate_json(manifest), json.loads(run) if run else None) for id, manifest, run in rows
    }


def _insert(database: sqlite3.Connection, store: Store, row: _Row) -> None:
    manifest, run = row
    place = (manifest.stage, manifest.id)
    text = manifest.model_dump_json()
    database.execute(
        "insert into artifacts values (?, ?, ?, ?, ?)", (*place, manifest.kind, text, json.dumps(run) if run else None)
    )
    database.executemany("insert into edges values (?, ?, ?)", [(ref.id, *place) for ref in manifest.inputs.values()])
    database.executemany("insert into facts values (?, ?, ?, ?)", [(*fact, *place) for fact in facts_of(manifest)])
    if manifest.kind in SENSOR_KINDS:
        table = frame_table(store, manifest)
        rows = zip(table.column("keyframe").to_pylist(), table.column("drive").to_pylist(), strict=True)
        database.executemany("insert into frames values (?, ?, ?)", ((*pair, manifest.id) for pair in rows))
