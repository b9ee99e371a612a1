"""Which drives are complete, and why others are not taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from olivine.errors import DataError
from olivine.registry.documents import read_document
from olivine.registry.ready import READY, Ready, file_key, ready_key
from olivine.store import Store

_WORKERS = 16


@dataclass(frozen=True)
class Catalogue:
    """Complete drives by name, and the reason for each that is refused."""

    drives: dict[str, Ready] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def read_catalogue(store: Store) -> Catalogue:
    """All drives whose `_READY.json` is there, in the order of their names; damaged ones are refused."""
    names = sorted(key.split("/")[2] for key in store.list("registry/drives") if key.endswith(f"/{READY}"))
    found = Catalogue()
    with ThreadPoolExecutor(_WORKERS) as workers:
        for name, ready in zip(names, workers.map(lambda name: _read(store, name), names), strict=True):
            if isinstance(ready, Ready):
                found.drives[name] = ready
            else:
                found.refused[name] = ready
    return found


def find_missing(store: Store, ready: Ready) -> list[str]:
    """Files of a drive that are not in the store (their bytes are checked when they are read)."""
    there = set(store.list(f"registry/files/{ready.drive}"))
    return [file.path for file in ready.files if file_key(ready.drive, file.path) not in there]


def _read(store: Store, name: str) -> Ready | str:
    try:
        ready = read_document(store, ready_key(name), Ready)
    except (DataError, FileNotFoundError) as error:
        return str(error)
    return ready if ready.drive == name else f"{ready_key(name)} is that of drive {ready.drive}"
