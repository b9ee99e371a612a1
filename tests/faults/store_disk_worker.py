"""Publish an artifact on a disk with ever more room, from none to enough; print what happened each time."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from store_kill_worker import _problems_now, work

from olivine.errors import DiskFullError
from olivine.store import open_store

PAGE_BYTES = 4096


def attempt(url: str) -> dict[str, Any]:
    """One run, and what a reader finds after it."""
    try:
        return {"error": None, "digest": work(url).manifest.data_digest}
    except DiskFullError as error:
        staged = list(Path(url, ".staging").iterdir()) if Path(url, ".staging").exists() else []
        problems = _problems_now(open_store(url)) + [f"left: {path.name}" for path in staged]
        return {"error": str(error), "exit_code": error.exit_code, "problems": problems}


def on_small_disk(folder: Path, num_pages: int) -> dict[str, Any]:
    """A run on `folder`, a small file system, with this many pages free; then one with all of it."""
    filler, url = folder / "filler", str(folder / "store")
    size_bytes = os.statvfs(folder).f_bavail * PAGE_BYTES
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes - num_pages * PAGE_BYTES)
    first = attempt(url)
    filler.unlink()
    first["digest"] = attempt(url)["digest"]
    shutil.rmtree(url)
    return first


def with_file_limit(folder: Path, size_bytes: int) -> dict[str, Any]:
    """A run that may not write files larger than this; then one that may."""
    url = str(folder / f"store-{size_bytes}")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    first = attempt(url)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    first["digest"] = attempt(url)["digest"]
    return first


if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    act = {"disk": on_small_disk, "limit": with_file_limit}[sys.argv[1]]
    print(json.dumps([act(Path(sys.argv[2]), int(number)) for number in sys.argv[3:]]))
