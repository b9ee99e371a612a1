"""What a GPU takes for a keyframe of OLIVINE's pretraining: `python -m benchmarks.gpu_pretrain [--out FILE]`.

The paper's recipe (MinkUNet-34 of 38 M parameters at 0.1 m, six images of 224 x 416 through a dilated ResNet-50, batch
16) through `olivine pretrain` itself, on synthetic drives of nuScenes' size: 1600 x 900 images, 32 beams, 1 085
columns. The encoder's parameters are random: they cost the same. The rate is that between the steps of a run, without
its start. It needs a GPU, and is no part of `make bench`; docs/scaling.md computes with what it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from olivine.store import open_store

STEPS, WARM_UP = 64, 32
BATCH = 16
DRIVES = ("--train-scenes", "8", "--select-scenes", "1", "--keyframes", "4", "--image-width", "1600")
RECIPE = (
    "ingest.version=v1.0-mini",
    "label.labeler=simulated",
    "label.classes=grounded_sam",
    "pretrain.encoder.weights=random",
    f"pretrain.epochs={STEPS // 2}",
    f"pretrain.batch_size={BATCH}",
    "pretrain.checkpoint_every=1000",
)
VARIANTS = {
    "fp32, 0 workers": ("fp32", "--workers", "0"),
    "fp32": ("fp32", "--workers", "8"),
    "bf16": ("bf16", "--workers", "8"),
    "fp16": ("fp16", "--workers", "8"),
    "fp32, recomputed": ("fp32", "--workers", "8", "--recompute-activations"),
}
"""Precision of the backbone and the encoder, and how the work is done."""


def main() -> None:
    """Make the drives, run each variant, print a line for each and keep all as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench/gpu_pretrain.json"))
    parser.add_argument("--only", action="append", choices=VARIANTS, help="a variant; may be repeated (default: all)")
    arguments = parser.parse_args()
    out, chosen = arguments.out, arguments.only or list(VARIANTS)
    if not torch.cuda.is_available():
        sys.exit("gpu_pretrain: no GPU here.")
    device = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__, "batch": BATCH}
    with tempfile.TemporaryDirectory() as folder:
        root, store = Path(folder, "drives"), Path(folder, "store")
        olivine("synth", "--out", str(root), *DRIVES)
        made = made_of("ingest", store, ["--drives", str(root)])
        given = ["--drives", made]
        for word, port in (("label", "--weak-labels"), ("weigh", "--density-weights")):
            given += [port, made_of(word, store, given)]
        found = [pretrain(store, name, given, *VARIANTS[name]) for name in chosen]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([device | row for row in found], indent=1) + "\n")
    print(device["device"])


def stage(store: Path) -> list[str]:
    """What every stage is told."""
    chosen = [word for setting in RECIPE for word in ("--set", setting)]
    return ["--store", str(store), "--recipe", "olivine@paper", *chosen]


def made_of(word: str, store: Path, given: list[str]) -> str:
    """Id of what a stage made."""
    return str(json.loads(olivine(word, *stage(store), *given, "--json").stdout)["id"])


def pretrain(store: Path, name: str, inputs: list[str], precision: str, *execution: str) -> dict[str, Any]:
    """One pretraining; the seconds of a keyframe after the first steps, and what its record says."""
    seed = list(VARIANTS).index(name)
    given = ["--set", f"pretrain.precision={precision}", "--set", f"pretrain.encoder.precision={precision}"]
    given += ["--set", f"pretrain.seed={seed}", *execution, "--json"]
    done = olivine("pretrain", *stage(store), *inputs, *given)
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"work": "pretrain"')]
    ends_s = {line["done"]: line["done"] / line["per_s"] for line in lines}
    (key,) = open_store(str(store)).list(f"records/runs/pretrain/{json.loads(done.stdout)['id']}")
    record = json.loads(open_store(str(store)).read(key))
    kept = ("peak_gpu_mb", "data_wait_share", "samples_per_s", "samples")
    seconds = (ends_s[STEPS] - ends_s[WARM_UP]) / ((STEPS - WARM_UP) * BATCH)
    waits = f"waits for data {record['data_wait_share']:.0%} of the time"
    print(f"{name:16} {seconds:.4f} s a keyframe, {record['peak_gpu_mb']:.0f} MB, {waits}", flush=True)
    return {"variant": name, "s_per_keyframe": seconds} | {field: record[field] for field in kept}


def olivine(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the product; its error ends the benchmark."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "olivine", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"olivine {arguments[0]}: {done.stderr[-3000:]}")
    return done


if __name__ == "__main__":
    main()
