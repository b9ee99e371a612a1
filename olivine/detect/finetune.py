"""Train a detector to the last epoch and publish it (`olivine detect finetune`)."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import asdict

import torch

from olivine.artifacts import Artifact, Output, begin
from olivine.detect.ahead import batches_ahead
from olivine.detect.anchors import Targets, assign_targets
from olivine.detect.frames import Frames
from olivine.detect.network import Detector, build_detector
from olivine.detect.recipe import DetectorRecipe
from olivine.detect.samples import DetectionBatch, DetectionSamples
from olivine.detect.schedule import build_adamw, set_cycle
from olivine.detect.start import start_from, start_from_random
from olivine.errors import DataError, Interrupted
from olivine.losses.detection import HeadLosses, head_losses
from olivine.progress import Progress
from olivine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from olivine.training.determinism import deterministic
from olivine.training.order import Order
from olivine.training.signals import stop_flag
from olivine.training.tensors import flatten_optimizer, restore_optimizer, tensors_bytes


def run(frames: Artifact, backbone: Artifact | None, recipe: DetectorRecipe) -> Artifact:
    """Train a detector from `backbone`, or from random when there is none; return the `detector` artifact.

    Raises:
        UsageError: another backbone than the recipe's, one that saw other intensities, or no frame in the split.
        DataError: the loss is not finite; Interrupted: SIGTERM came, and a checkpoint of the last step is kept.
    """
    inputs = {"frames": frames.manifest} | ({"backbone": backbone.manifest} if backbone else {})
    out = begin(frames.store, "finetune", "detector", inputs, recipe.resolved(), recipe.seed)
    if isinstance(out, Artifact):
        return out
    reader = Frames(frames)
    names = reader.names(recipe.split)
    detector = build_detector(recipe)
    start = start_from(detector, backbone, recipe) if backbone else start_from_random(detector, recipe)
    if backbone:
        print(start.line(backbone.id), file=sys.stderr)
    detector.to("cuda" if torch.cuda.is_available() else "cpu")
    history = _train(out, DetectionSamples(reader, names, recipe), names, detector, recipe)
    out.put("detector.safetensors", tensors_bytes(detector.state_dict()))
    out.put("history.json", json.dumps(history).encode())
    out.put("start.json", json.dumps(asdict(start)).encode())
    out.put("frames.json", json.dumps(names).encode())
    summary = {
        "init": backbone.manifest.summary["method"] if backbone else "random",
        "tensors_taken": len(start.taken),
        "tensors_fresh": len(start.fresh),
        "classes": [item.kind for item in recipe.classes],
        "loss": history[-1]["loss"],
    }
    # An imported backbone brings the licence of other data.
    licences = dict.fromkeys(frames.manifest.licences + (backbone.manifest.licences if backbone else ()))
    return out.publish({"frames": len(names), "steps": len(history)}, summary, tuple(licences))


def _train(
    out: Output, samples: DetectionSamples, names: list[str], detector: Detector, recipe: DetectorRecipe
) -> list[dict[str, float]]:
    order = Order(len(names), min(recipe.batch_size, len(names)), recipe.epochs, recipe.seed)
    optimizer = build_adamw(recipe.optimizer, detector)
    history, first_step = _resume(out, detector, optimizer)
    detector.train()
    ahead = batches_ahead(samples, names, order.batches(first_step))
    with (
        deterministic(),
        stop_flag() as stop,
        Progress("detect finetune", order.num_steps, "steps") as progress,
        closing(ahead),
    ):
        progress.skip(first_step)
        for place, batch in ahead:
            rate = set_cycle(optimizer, recipe.optimizer, place.step, order.num_steps)
            values = _step(optimizer, detector, batch_losses(detector, batch, recipe), recipe)
            history.append({"step": place.step, "lr": rate, **values})
            progress.advance(1, loss=values["loss"])
            done = place.step + 1
            if stop.is_set or (done % recipe.checkpoint_every == 0 and done < order.num_steps):
                tensors = {"model": detector.state_dict(), "optimizer": flatten_optimizer(optimizer)}
                save_checkpoint(out, Checkpoint(done, tensors, {"history": history}))
            if stop.is_set:
                raise Interrupted(
                    f"detect finetune: stopped by SIGTERM after step {done}; run it again to go on from there."
                )
    return history


def batch_losses(detector: Detector, batch: DetectionBatch, recipe: DetectorRecipe) -> HeadLosses:
    """The losses of a batch, with a graph."""
    device = detector.anchors_A7.device
    targets = [
        assign_targets(detector.anchors_A7, boxes.to(device), kinds.to(device), recipe.classes)
        for boxes, kinds in zip(batch.boxes, batch.kinds, strict=True)
    ]
    found = detector(batch.clouds.to(device), len(targets))
    return head_losses(found.logits_BAK, found.offsets_BA7, found.directions_BA2, *_stack(targets))


def _stack(targets: list[Targets]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.stack([item.kind_A for item in targets]),
        torch.stack([item.offsets_A7 for item in targets]),
        torch.stack([item.direction_A for item in targets]),
    )


def _step(
    optimizer: torch.optim.Optimizer, detector: Detector, losses: HeadLosses, recipe: DetectorRecipe
) -> dict[str, float]:
    weights = recipe.loss
    loss = weights.kind * losses.kind + weights.box * losses.box + weights.direction * losses.direction
    values = {name: float(part.detach()) for name, part in ({"loss": loss} | vars(losses)).items()}
    if not torch.isfinite(loss):
        raise DataError("detect finetune: the loss is not finite. Lower the rate: --set finetune.optimizer.lr=0.001")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(detector.parameters(), recipe.optimizer.clip_norm)
    optimizer.step()
    return values


def _resume(out: Output, detector: Detector, optimizer: torch.optim.Optimizer) -> tuple[list[dict[str, float]], int]:
    checkpoint = load_checkpoint(out)
    if checkpoint is None:
        return [], 0
    detector.load_state_dict(checkpoint.tensors["model"])
    restore_optimizer(optimizer, checkpoint.tensors["optimizer"])
    return checkpoint.notes["history"], checkpoint.step
