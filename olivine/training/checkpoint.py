"""Checkpoints by the manifest rule: an artifact of its own kind, found through one small ref.

The ref moves only after the checkpoint's manifest is there, so whoever resumes finds the newest complete checkpoint,
whatever instant the writer was killed at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from olivine.artifacts import Artifact, Output, begin, open_artifact
from olivine.errors import StoreError
from olivine.training.tensors import bytes_tensors, tensors_bytes

_ATTEMPTS = 16


@dataclass(frozen=True)
class Checkpoint:
    """The state after `step` optimiser steps: named sets of tensors, and JSON notes such as the history."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    notes: dict[str, Any]


def save_checkpoint(out: Output, checkpoint: Checkpoint) -> None:
    """Publish a checkpoint of the artifact in the making and point its ref at it."""
    inputs = out.inputs
    recipe = out.recipe | {"checkpoint_of": out.id, "step": checkpoint.step}
    target = begin(out.store, out.stage, "checkpoint", inputs, recipe, out.seed)
    if isinstance(target, Output):
        for name, tensors in checkpoint.tensors.items():
            target.put(f"{name}.safetensors", tensors_bytes(tensors))
        target.put("notes.json", json.dumps(checkpoint.notes).encode())
        target = target.publish({"step": checkpoint.step}, {}, ())
    _move_ref(out, target, checkpoint.step)


def load_checkpoint(out: Output) -> Checkpoint | None:
    """The newest complete checkpoint of this artifact, checked; None when there is none."""
    ref = out.store.read_ref(_ref_name(out))
    if ref is None:
        return None
    artifact = open_artifact(out.store, out.stage, json.loads(ref.content)["id"])
    if artifact is None:
        return None
    names = [blob.path.removesuffix(".safetensors") for blob in artifact.manifest.data if blob.path != "notes.json"]
    tensors = {name: bytes_tensors(artifact.read(f"{name}.safetensors"), name) for name in names}
    return Checkpoint(artifact.manifest.counts["step"], tensors, json.loads(artifact.read("notes.json")))


def _move_ref(out: Output, target: Artifact, step: int) -> None:
    content = json.dumps({"id": target.id, "step": step}).encode()
    for _ in range(_ATTEMPTS):
        ref = out.store.read_ref(_ref_name(out))
        if ref is not None and json.loads(ref.content)["step"] >= step:
            return
        if out.store.move_ref(_ref_name(out), content, ref):
            return
    raise StoreError(f"{out.store.url}: the ref {_ref_name(out)} keeps moving. Is the same run started many times?")


def _ref_name(out: Output) -> str:
    return f"runs/{out.id}/checkpoint"
