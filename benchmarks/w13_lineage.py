"""W13, "everything behind this model" in a store of 10 000 artifacts: `python -m benchmarks.w13_lineage`.

1 100 runs over 100 sets of drives, 1 000 000 keyframes in their counts; manifests, run records, statements and index
keys as the stages publish them, on a directory and copied to an S3 server on loopback. Ours is asked of both stores,
cold and with its requests counted, and of the mirror. The reference is what a store without an index asks for: read
every manifest, then walk. MLMD and MLflow are left out: both need a database that is fed at run time, and MLMD has no
wheel for this Python.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import compare, main, repeat, row
from benchmarks.s3_server import BUCKET, s3_server
from olivine.artifacts import Manifest
from olivine.artifacts.artifact import open_artifact
from olivine.artifacts.digest import artifact_id
from olivine.artifacts.manifest import Blob, CodeVersion, data_digest
from olivine.artifacts.provenance import write_provenance
from olivine.lineage import MirrorSource, StoreSource, build_mirror
from olivine.lineage.frames import COLUMNS
from olivine.lineage.impact import impact
from olivine.lineage.source import Place
from olivine.lineage.trace import trace
from olivine.packs import Entry, build_shard, index_bytes
from olivine.store import Store, open_store

NUM_DRIVES_SETS, NUM_RUNS = 100, 1_100
KEYFRAMES_A_SET = 10_000
GOAL_MIRROR_MS, GOAL_STORE_MS, GOAL_BUILD_S = 200.0, 2_000.0, 60.0
CODE = CodeVersion(version="0", digest="0" * 64, commit="1" * 40, dirty=False)


def publish(store: Store, stage: str, kind: str, inputs: dict[str, Manifest], number: int, **summary: Any) -> Manifest:
    """A manifest with its records, without the checks of a stage: ten thousand of them in a minute."""
    recipe = {"number": number}
    data = tuple(summary.pop("data", ())) or (Blob(path="data.bin", sha256="2" * 64, size_bytes=1),)
    manifest = Manifest(
        stage=stage,
        kind=kind,
        id=artifact_id(stage, kind, {port: item.id for port, item in inputs.items()}, recipe, CODE.digest),
        data_digest=data_digest(data),
        inputs={port: item.input_ref() for port, item in inputs.items()},
        recipe=recipe,
        seed=number,
        code=CODE,
        image_digest=None,
        libraries={},
        counts={"keyframes": KEYFRAMES_A_SET},
        licences=("none",),
        summary=summary,
        data=data,
    ).seal()
    store.create(manifest.key, manifest.to_json())
    run = {"run": f"{number:032x}", "started": "2026-01-01", "ended": "2026-01-02", "wall_s": 1.0, "cpu_s": 1.0}
    write_provenance(store, manifest, run)
    return manifest


def fill(store: Store) -> Manifest:
    """100 sets of drives, and 1 100 runs of nine artifacts; return a model."""
    sets = [publish_drives(store, number) for number in range(NUM_DRIVES_SETS)]
    model = sets[0]
    for number in range(NUM_RUNS):
        drives = sets[number % NUM_DRIVES_SETS]
        labels = publish(store, "label", "weak_labels", {"drives": drives}, number)
        weights = publish(store, "weigh", "density_weights", {"drives": drives, "weak_labels": labels}, number)
        inputs = {"drives": drives, "weak_labels": labels, "density_weights": weights}
        backbone = publish(store, "pretrain", "backbone", inputs, number)
        for seed in range(3):
            seeded = 3 * number + seed
            model = publish(store, "finetune", "segmenter", {"drives": drives, "backbone": backbone}, seeded)
            publish(store, "evaluate", "metrics", {"drives": drives, "segmenter": model}, seeded, miou=seed / 3)
    return model


def publish_drives(store: Store, number: int) -> Manifest:
    names = [f"drive-{number}-{part}" for part in range(10)]
    rows = [
        {"scene": "s", "drive": names[place % 10], "split": "train", "timestamp_us": place}
        for place in range(KEYFRAMES_A_SET)
    ]
    entries = [Entry(f"{number}-{place}", {}, columns=columns) for place, columns in enumerate(rows)]
    import pyarrow as pa

    types = {name: pa.int64() if name == "timestamp_us" else pa.string() for name in COLUMNS if name != "keyframe"}
    index = index_bytes(build_shard("shards/0.tar", entries)[1], types)
    blob = Blob(path="index.parquet", sha256=hashlib.sha256(index).hexdigest(), size_bytes=len(index))
    store.create(blob.key, index)
    return publish(store, "ingest", "drives", {}, number, drives=names, synthetic=True, data=[blob])


def scan(store: Store, place: Place) -> int:
    """Read every manifest, then walk: what a store without an index leaves."""
    known: dict[str, Manifest] = {}
    for other in StoreSource(store).places():
        artifact = open_artifact(store, *other)
        if artifact is not None:
            known[artifact.id] = artifact.manifest
    found, waiting = set(), [place.id]
    while waiting:
        id = waiting.pop()
        if id not in found:
            found.add(id)
            waiting += [ref.id for ref in known[id].inputs.values()]
    return len(found)


def measure(contender: str, source: str) -> dict[str, Any]:
    """One contender in this process, on the store in the folder `source`."""
    folder = Path(source)
    store = open_store(f"s3://{BUCKET}/lineage" if contender == "s3" else str(folder / "store"))
    stage, id = (folder / "model").read_text().split()
    place = Place(stage, id)
    if contender == "mirror":
        mirror = MirrorSource(folder / "mirror.sqlite")
        return repeat(lambda: trace(mirror, place)) | {"artifacts": len(trace(mirror, place).steps)}
    if contender == "mirror impact":
        mirror = MirrorSource(folder / "mirror.sqlite")
        return repeat(lambda: impact(mirror, "drive:drive-0-0"))
    if contender in ("store", "s3"):
        before = store.traffic.requests
        trace(StoreSource(store), place)
        requests = store.traffic.requests - before
        return repeat(lambda: trace(StoreSource(store), place)) | {"requests": requests}
    started = time.perf_counter()
    count = scan(store, place)
    return {"median_ms": (time.perf_counter() - started) * 1e3, "artifacts": count}


def on_s3(store: Store, folder: Path) -> dict[str, Any]:
    """The same store on S3, asked cold."""
    (folder / "seaweedfs").mkdir()
    with s3_server(folder / "seaweedfs") as server:
        os.environ.update(server.environment)
        target = open_store(f"s3://{BUCKET}/lineage")
        with ThreadPoolExecutor(16) as workers:
            list(workers.map(lambda key: target.create(key, store.read(key)), store.list("")))
        return compare("benchmarks.w13_lineage", ("s3",), "--source", str(folder))


def run() -> list[dict[str, Any]]:
    """Fill a store, build its mirror, ask."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(str(folder / "store"))
        model = fill(store)
        (folder / "model").write_text(f"{model.stage} {model.id}")
        started = time.perf_counter()
        count = build_mirror(store, folder / "mirror.sqlite")
        build_s = time.perf_counter() - started
        found = compare("benchmarks.w13_lineage", ("mirror", "mirror impact", "store", "scan"), "--source", name)
        found |= on_s3(store, folder)
    about = {"what": f"trace, {count} artifacts", "contenders": found}
    mirror_ms, store_ms = found["mirror"]["median_ms"], found["store"]["median_ms"]
    reference = found["scan"].get("median_ms")
    rows = [
        row("W13", mirror_ms, reference, 1, "ms from the mirror") | about,
        row("W13 store", store_ms, reference, 1, "ms cold from the store") | {"requests": found["store"]["requests"]},
        row("W13 s3", found["s3"].get("median_ms", float("nan")), reference, 1, "ms cold from S3")
        | {"requests": found["s3"].get("requests")},
        row("W13 build", build_s, None, 1, "s to build the mirror"),
    ]
    goals = (GOAL_MIRROR_MS, GOAL_STORE_MS, GOAL_STORE_MS, GOAL_BUILD_S)
    for line, goal in zip(rows, goals, strict=True):
        line |= {"goal": f"< {goal:g}", "met": line["ours"] < goal, "reference": line["reference"] or 0.0}
    return rows


if __name__ == "__main__":
    main(__doc__, run, measure, "source")
