"""W7's second half, the loader over a network: `python -m benchmarks.streaming`.

Keyframes on a local S3 server, batches of four, one epoch in a random order, from nothing to samples: time of a sample
after the first batch, time to the first batch, and time to the first batch of a run that goes on at the middle of the
epoch. Workers are processes that start anew in each of them. `reference` gets its thirteen files a keyframe one by one.
`webdataset` streams four tars of the same packed members by signed addresses, shuffles tars and a buffer, makes samples
by the same code, and to resume passes over what was seen: it has no other way. It checks no byte. `ours` reads ranges
and checks them. MosaicML's streaming is left out: KFP 2.17 pins python-dateutil 4, and its releases for torch 2
need oci, which wants python-dateutil below 3.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import w7_loader
from benchmarks.measure import compare, forget_peak, main, memory_mb, row
from benchmarks.s3_server import BUCKET, s3_server

KEYFRAMES, BATCH, SHARDS = 32, 4, 4
MIDDLE = KEYFRAMES // BATCH // 2
RESUME_LIMIT_S, ROUNDS = 2.0, 3
NAMES = ("reference", "webdataset", "webdataset_1", "webdataset_2", "ours", "ours_1", "ours_2", "reduced")
"""What reads, and with how many worker processes. `reduced` is ours with JPEGs decoded at a reduced size."""
MODULES = (
    "minio",
    "olivine.artifacts",
    "olivine.drives",
    "olivine.pretrain.loader",
    "olivine.recipes",
    "olivine.store",
)
"""Imported before the clock starts."""


def run() -> list[dict[str, Any]]:
    """Rows against each contender with as many workers; times are the least of the rounds, without imports."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as data,
        s3_server(Path(data)) as server,
    ):
        before = dict(os.environ)
        os.environ.update(server.environment)
        try:
            publish(Path(folder), w7_loader.write(Path(folder), f"s3://{BUCKET}/w7", KEYFRAMES))
            rounds = [compare("benchmarks.streaming", NAMES, "--folder", folder) for _ in range(ROUNDS)]
        finally:
            os.environ.clear()
            os.environ.update(before)
    found = {name: least([one[name] for one in rounds]) for name in NAMES}
    return [line for name in NAMES if name.startswith(("ours", "reduced")) for line in lines(name, found)]


def least(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The least of each figure: what else the machine does disturbs that one least. Or why there is none."""
    measured = [one for one in rounds if "left_out" not in one]
    return {key: min(one[key] for one in measured) for key in measured[0]} if measured else rounds[0]


def lines(name: str, found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of ours with some number of workers."""
    ours = found[name]
    others = [name.replace("ours", "webdataset")] if name.startswith("ours") else []
    if name in ("ours", "reduced"):
        others.append("reference")
    rows = []
    for other in others:
        for key, unit, goal in (
            ("sample_ms", "ms a sample", 5.0 if other == "reference" else 1.0),
            ("first_s", "s to the first batch", 1.0),
            ("resume_s", "s to resume at mid-epoch", 1.0),
        ):
            measured = found[other].get(key)
            rows.append(
                row("W7", ours[key], measured, goal, unit, what=f"S3, {name}, against {other}", contenders=found)
            )
        if other == "reference":
            rows.append(row("W7", ours["peak_mb"], found[other].get("peak_mb"), 4.0, "MB", what=f"S3, {name}"))
    rows.append(row("W7", ours["resume_s"], RESUME_LIMIT_S, 1.0, "s to resume at mid-epoch", what=f"S3, {name}: limit"))
    return rows


def publish(folder: Path, entries: list[Any]) -> None:
    """Put the raw files and tars of packed members on the server; keep the tars' signed addresses."""
    from olivine.packs import build_shard

    client, addresses = minio(), []
    for file in folder.iterdir():
        if file.suffix in (".bin", ".jpg", ".png"):
            client.fput_object(BUCKET, f"raw/{file.name}", str(file))
    for number in range(SHARDS):
        data, _ = build_shard(f"{number}.tar", entries[number::SHARDS])
        client.put_object(BUCKET, f"tars/{number}.tar", io.BytesIO(data), len(data))
        addresses.append(client.presigned_get_object(BUCKET, f"tars/{number}.tar", timedelta(hours=1)))
    (folder / "tars.json").write_text(json.dumps(addresses))


def minio() -> Any:
    """A client of the server that the environment names."""
    from minio import Minio

    host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    return Minio(host, *keys, secure=False, region="us-east-1")


def measure(contender: str, folder: str) -> dict[str, Any]:
    """An epoch from nothing, and the first batch of another run that goes on from its middle."""
    import torch

    torch.set_num_threads(1)
    name, _, workers = contender.partition("_")
    for module in (*MODULES, "webdataset")[: len(MODULES) + (name == "webdataset")]:
        importlib.import_module(module)
    batches = CONTENDERS[name]
    forget_peak()
    baseline_mb = memory_mb("VmRSS")
    start_s = time.perf_counter()
    epoch = iter(batches(Path(folder), int(workers or 0), 0))
    next(epoch)
    first_s = time.perf_counter() - start_s
    count = sum(1 for _ in epoch)
    assert count == KEYFRAMES // BATCH - 1, count
    rest_s = time.perf_counter() - start_s - first_s
    peak_mb = memory_mb("VmHWM") - baseline_mb
    start_s = time.perf_counter()
    next(iter(batches(Path(folder), int(workers or 0), MIDDLE)))
    resume_s = time.perf_counter() - start_s
    found = {"sample_ms": rest_s * 1e3 / (count * BATCH), "first_s": first_s, "resume_s": resume_s}
    return found if workers else found | {"peak_mb": peak_mb}


def ours(folder: Path, workers: int, first: int, images: str = "ours_full") -> Iterable[Any]:
    """Pretraining's own loader."""
    from olivine.pretrain.loader import Loader
    from olivine.training.order import Order

    samples = w7_loader.samples_of(*w7_loader.packs(folder), images)
    tokens = [w7_loader.token(number) for number in range(KEYFRAMES)]
    return Loader(samples, tokens, Order(KEYFRAMES, BATCH, 1, 0).batches(first), 1, workers)


def reference(folder: Path, workers: int, first: int) -> Iterator[Any]:
    """The reference's samples, from the same thirteen files on the server."""
    import numpy as np

    client = minio()

    def read(name: str) -> bytes:
        answer = client.get_object(BUCKET, f"raw/{name}")
        try:
            return answer.read()
        finally:
            answer.close()
            answer.release_conn()

    sample = w7_loader.reference(read)
    order = np.random.default_rng(0).permutation(KEYFRAMES)
    for start in range(first * BATCH, KEYFRAMES, BATCH):
        yield [sample(int(number) % w7_loader.NUM_KEYFRAMES) for number in order[start : start + BATCH]]


def webdataset(folder: Path, workers: int, first: int) -> Iterable[Any]:
    """Tars in a random order and a buffer of samples; a worker reads the tars that are its own."""
    import webdataset as wds
    from torch.utils.data import DataLoader

    addresses = [f"pipe:curl -sf '{address}'" for address in json.loads((folder / "tars.json").read_text())]
    stream = wds.WebDataset(addresses, shardshuffle=SHARDS, seed=0).shuffle(2 * BATCH, seed=0).listed(BATCH)
    # Passed over before anything is decoded.
    batches = stream.slice(first // max(workers, 1), None).map(make)
    return DataLoader(
        batches, batch_size=None, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )


def make(members: list[dict[str, Any]]) -> Any:
    """A batch as pretraining makes it, of what a stream has brought."""
    held = Held(members)
    return w7_loader.samples_of(held, held, "ours_full").batch(held.tokens(), 0)


class Held:
    """Members of some keyframes in memory, with the answers that samples ask of `Drives` and `Pack`."""

    image_size = (w7_loader.WIDTH, w7_loader.HEIGHT)

    def __init__(self, members: list[dict[str, Any]]) -> None:
        self._members = {one["__key__"]: one for one in members}

    def tokens(self) -> list[str]:
        """The keyframes."""
        return list(self._members)

    def column(self, name: str) -> dict[str, Any]:
        """All of one scene."""
        return dict.fromkeys(self._members, name)

    def head(self, token: str) -> dict[str, bytes]:
        """Every member."""
        return self._members[token]

    def keyframe_and_images(self, token: str) -> tuple[Any, list[bytes]]:
        """Points, pairs and JPEGs; the stream gives its suffixes in small letters."""
        from olivine.drives import CAMERAS, Keyframe
        from olivine.packs import bytes_array

        members, names = self._members[token], ("points.npy", "pair_point.npy", "pair_pixel.npy")
        keyframe = Keyframe(token, *(bytes_array(members[name]) for name in names))
        return keyframe, [members[f"{camera}.jpg".lower()] for camera in CAMERAS]


CONTENDERS: dict[str, Callable[[Path, int, int], Iterable[Any]]] = {
    "reference": reference,
    "webdataset": webdataset,
    "ours": ours,
    "reduced": partial(ours, images="ours_reduced"),
}

if __name__ == "__main__":
    main(__doc__, run, measure, "folder")
