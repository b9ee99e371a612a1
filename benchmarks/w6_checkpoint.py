"""W6, save and load a checkpoint of a 150 MB model and 300 MB of optimiser state: `python -m benchmarks.w6_checkpoint`.

In a directory, one process. torch.save and safetensors write one file each and neither flush it to the disk nor check
it; DeepSpeed writes its own layout; ours writes each set under its digest, flushes, reads back, compares and publishes
a manifest. `safetensors_kept` is safetensors with what keeping a file takes: flush, digest, rename. The last two go to
an S3 server (SeaweedFS) on the same machine: ours, and safetensors in one request a file, with the digest.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.measure import compare, main, repeat, row

NAMES = ("torch_save", "safetensors", "safetensors_kept", "ours", "deepspeed", "safetensors_s3", "ours_s3")
NUM_TENSORS, ELEMENTS = 64, 150_000_000 // 64 // 4
GOAL = 1 / 1.3


def run() -> list[dict[str, Any]]:
    """Rows: ours against safetensors alone and against safetensors kept safe, saving and loading."""
    found = compare("benchmarks.w6_checkpoint", NAMES)
    rows = []
    pairs = [("ours", "safetensors"), ("ours", "safetensors_kept"), ("ours_s3", "safetensors_s3")]
    for what, key in (("save", "save"), ("load, checked", "load")):
        for our, other in pairs:
            if "left_out" in found[our]:
                continue
            reference = found[other][key]["median_ms"]
            others = {name: found[name].get(key, found[name]) for name in NAMES}
            ours = found[our][key]["median_ms"]
            rows.append(row("W6", ours, reference, GOAL, "ms", what=f"{what}: {our} to {other}", contenders=others))
    return rows


def measure(contender: str) -> dict[str, Any]:
    """Save and load, each several times; every save writes other values, as a training does."""
    import torch

    with tempfile.TemporaryDirectory(dir=os.environ.get("OLIVINE_BENCH_DIR")) as folder:
        model = {f"layer{number}.weight": torch.randn(ELEMENTS) for number in range(NUM_TENSORS)}
        state = {f"{number}.{name}": torch.randn(ELEMENTS) for number in range(NUM_TENSORS) for name in ("a", "b")}

        def change() -> None:
            model["layer0.weight"][0] += 1

        save, load = CONTENDERS[contender](Path(folder), model, state)

        def changed_save() -> None:
            change()
            save()

        return {"save": repeat(changed_save), "load": repeat(load)}


Calls = tuple[Callable[[], Any], Callable[[], Any]]


def torch_save(folder: Path, model: dict[str, Any], state: dict[str, Any]) -> Calls:
    import torch

    file = folder / "checkpoint.pt"
    return (
        lambda: torch.save({"model": model, "optimizer": state}, file),
        lambda: torch.load(file, weights_only=True),
    )


def safetensors(folder: Path, model: dict[str, Any], state: dict[str, Any]) -> Calls:
    from safetensors.torch import load_file, save_file

    parts = {"model": model, "optimizer": state}

    def save() -> None:
        for name, tensors in parts.items():
            save_file(tensors, folder / f"{name}.safetensors")

    return save, lambda: [load_file(folder / f"{name}.safetensors") for name in parts]


def safetensors_kept(folder: Path, model: dict[str, Any], state: dict[str, Any]) -> Calls:
    from safetensors.torch import load, save_file

    digests: dict[str, str] = {}
    parts = {"model": model, "optimizer": state}

    def save() -> None:
        for name, tensors in parts.items():
            staged = folder / uuid.uuid4().hex
            save_file(tensors, staged)
            with staged.open("rb") as file:
                os.fsync(file.fileno())
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
            staged.replace(folder / f"{name}.safetensors")

    def load_checked() -> None:
        for name in parts:
            data = (folder / f"{name}.safetensors").read_bytes()
            assert hashlib.sha256(data).hexdigest() == digests[name]
            load(data)

    return save, load_checked


def safetensors_s3(folder: Path, model: dict[str, Any], state: dict[str, Any]) -> Calls:
    from safetensors.torch import load, save

    from olivine.store import open_store

    store = open_store(start_s3(folder))
    digests: dict[str, str] = {}
    parts = {"model": model, "optimizer": state}

    def save_digested() -> None:
        for name, tensors in parts.items():
            data = save(tensors)
            digests[name] = hashlib.sha256(data).hexdigest()
            store.delete(name)
            store.create(name, data)

    def load_checked() -> None:
        for name in parts:
            data = store.read(name)
            assert hashlib.sha256(data).hexdigest() == digests[name]
            load(data)

    return save_digested, load_checked


def start_s3(folder: Path) -> str:
    """URL of an empty store in a server that ends with this process."""
    from benchmarks.s3_server import BUCKET, s3_server

    (folder / "s3").mkdir()
    stack = ExitStack()
    atexit.register(stack.close)
    os.environ |= stack.enter_context(s3_server(folder / "s3")).environment
    return f"s3://{BUCKET}/checkpoints"


def ours_s3(folder: Path, model: dict[str, Any], state: dict[str, Any]) -> Calls:
    return ours(folder, model, state, start_s3(folder))


def ours(folder: Path, model: dict[str, Any], state: dict[str, Any], url: str | None = None) -> Calls:
    from olivine.artifacts import Output, begin
    from olivine.store import open_store
    from olivine.training.checkpoint import Checkpoint, Keep, load_checkpoint, save_checkpoint

    out = begin(open_store(url or str(folder / "store")), "pretrain", "backbone", {}, {"seed": 0}, seed=0)
    assert isinstance(out, Output)
    step = [0]

    def save() -> None:
        step[0] += 1
        save_checkpoint(out, Checkpoint(step[0], {"model": model, "optimizer": state}, {"history": []}), keep=Keep(1))

    return save, lambda: load_checkpoint(out)


def deepspeed(folder: Path, model: dict[str, Any], state: dict[str, Any]) -> Calls:
    import torch

    from olivine.training.deepspeed_engine import _import_deepspeed, join_world

    join_world()
    module = torch.nn.ParameterDict(
        {name.replace(".", "_"): torch.nn.Parameter(value) for name, value in model.items()}
    )
    optimizer = torch.optim.AdamW(module.parameters())
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    config = json.loads('{"train_batch_size": 1, "zero_allow_untested_optimizer": true, "steps_per_print": 1000000}')
    engine, *_ = _import_deepspeed().initialize(
        model=module, optimizer=optimizer, config=config, dist_init_required=False
    )
    return lambda: engine.save_checkpoint(str(folder), tag="step"), lambda: engine.load_checkpoint(str(folder))


CONTENDERS: dict[str, Callable[..., Calls]] = {
    "torch_save": torch_save,
    "safetensors": safetensors,
    "safetensors_kept": safetensors_kept,
    "ours": ours,
    "deepspeed": deepspeed,
    "safetensors_s3": safetensors_s3,
    "ours_s3": ours_s3,
}


if __name__ == "__main__":
    main(__doc__, run, measure)
