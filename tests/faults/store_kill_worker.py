"""Publish an artifact again and again in forked children, and kill each at some instant.

A process of its own, so that forking is safe (no threads) and quick (everything is imported once).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from olivine.artifacts import Artifact, begin, open_artifact, sha256_hex, verify
from olivine.store import Store, open_store

NUM_PARTS = 2
FILE_EVENTS = ("open", "os.link", "os.remove", "os.rename", "os.mkdir", "fcntl.flock", "os.listdir", "os.scandir")


def work(url: str) -> Artifact:
    """What a stage does: parts, data, manifest; goes on where an earlier run was killed."""
    out = begin(open_store(url), "ingest", "drives", {}, {"seed": 1}, seed=1)
    if isinstance(out, Artifact):
        return out
    for number in range(NUM_PARTS):
        if out.load_part(f"shard-{number}") is None:
            out.put(f"shard/{number}.bin", bytes([number]) * 50_000)
            out.save_part(f"shard-{number}", [f"shard/{number}.bin"], {"number": number})
    out.put("index.json", b"[0,1]")
    return out.publish({"frames": NUM_PARTS}, {}, ())


def run_child(act: Callable[[], object], kill_after_s: float | None = None) -> bool:
    """Fork, act, and report whether the child was killed."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def work_until(url: str, last_event: int) -> None:
    """Work, and die just before the file operation of this number."""
    seen = 0

    def count(event: str, _: Any) -> None:
        nonlocal seen
        if event in FILE_EVENTS:
            seen += 1
            if seen == last_event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    work(url)


def problems_after(url: str, expected: str) -> list[str]:
    """What is wrong in the store now, and after another run over it."""
    problems = _problems_now(open_store(url))
    finished = work(url)
    problems += [f"after a second run: {problem}" for problem in verify(finished)]
    if finished.manifest.data_digest != expected:
        problems.append("a second run made other data")
    if any(Path(url, ".staging").iterdir()):
        problems.append("leftovers were not removed")
    return problems


def _problems_now(store: Store) -> list[str]:
    problems = []
    for key in store.list("blobs"):
        if sha256_hex(store.read(key)) != key.split("/")[-1]:
            problems.append(f"{key} is half written")
    manifests = [key for key in store.list("ingest") if key.endswith("manifest.json")]
    for key in manifests:
        artifact = open_artifact(store, "ingest", key.split("/")[1])
        problems += verify(artifact) if artifact else [f"{key} cannot be opened"]
    return problems


def main(folder: str, tries: int) -> None:
    """Kill at every file operation, then at random instants; print what was seen as JSON."""
    expected = work(f"{folder}/whole").manifest.data_digest
    started = time.perf_counter()
    run_child(lambda: work(f"{folder}/timed"))
    wall_s = time.perf_counter() - started
    report: dict[str, Any] = {"operations": 0, "killed": 0, "problems": []}
    for number in range(1, 100_000):
        url = f"{folder}/operation-{number}"
        killed = run_child(lambda url=url, number=number: work_until(url, number))  # type: ignore[misc]
        if not killed:
            break
        report["operations"] += 1
        report["problems"] += problems_after(url, expected)
    draw = random.Random(0)
    for number in range(tries):
        url = f"{folder}/random-{number}"
        report["killed"] += run_child(lambda url=url: work(url), draw.uniform(0, wall_s))  # type: ignore[misc]
        report["problems"] += problems_after(url, expected)
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
