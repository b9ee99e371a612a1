"""The stage `finetune`: train on the labelled fraction to the last epoch and publish the segmenter."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

from olivine.artifacts import Artifact, Output, begin
from olivine.drives import Drives
from olivine.drives.classes import intensity_max
from olivine.errors import DataError, Interrupted, UsageError
from olivine.finetune.curve import select_miou
from olivine.finetune.forward import Forward
from olivine.finetune.fraction import labelled_keyframes, left_out_of, require_labels
from olivine.finetune.recipe import FinetuneRecipe
from olivine.finetune.samples import LabelledSamples
from olivine.losses.segmentation import segmentation_loss
from olivine.models.segmenter import Segmenter
from olivine.progress import Progress
from olivine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from olivine.training.determinism import deterministic
from olivine.training.optimizer import build_optimizer, rate_factor, set_rate
from olivine.training.order import Order
from olivine.training.signals import stop_flag
from olivine.training.start import load_backbone
from olivine.training.tensors import flatten_optimizer, restore_optimizer, tensors_bytes

_INTENSITY_MAX = 255.0


def run(drives: Artifact, backbone: Artifact | None, recipe: FinetuneRecipe) -> Artifact:
    """Fine-tune a segmenter from `backbone`, or from random when there is none; return the `segmenter` artifact.

    Raises:
        UsageError: the backbone was trained with another network, the fraction is empty, or the recipe does not say
            what to do with this sensor's intensities. DataError: no hand labels.
        Interrupted: SIGTERM came; a checkpoint of the last step is kept.
    """
    inputs = {"drives": drives.manifest} | ({"backbone": backbone.manifest} if backbone else {})
    out = begin(drives.store, "finetune", "segmenter", inputs, recipe.resolved(), recipe.seed)
    if isinstance(out, Artifact):
        return out
    _check_intensity(drives, recipe)
    reader = Drives(drives)
    tokens = labelled_keyframes(reader, recipe)
    if recipe.curve_points:
        require_labels(reader, reader.tokens("select"), "the split select")
    left_out = left_out_of(drives.manifest, recipe.splits)
    if left_out:
        print(f"note: {left_out}", file=sys.stderr)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    segmenter = Segmenter(recipe.network, recipe.bn_momentum, recipe.seed, reader.num_ids).to(device)
    if backbone:
        _load_backbone(segmenter, backbone, recipe)
    history, curve = _train(out, reader, tokens, segmenter, recipe, from_random=backbone is None)
    out.put("segmenter.safetensors", tensors_bytes(segmenter.state_dict()))
    out.put("history.json", json.dumps({"loss": history, "select_miou": curve}).encode())
    summary = {
        "init": backbone.manifest.summary["method"] if backbone else "random",
        "loss": history[-1]["loss"],
        "select_miou": curve[-1]["miou"] if curve else None,
        "fraction": f"1/{recipe.every_nth} by {recipe.fraction_unit}",
        "left_out": left_out,
        "frozen": recipe.frozen,
        "keyframes": tokens,
        "class_names": list(reader.class_names),
        "intensity_max": intensity_max(drives.manifest),
    }
    # An imported backbone brings the licence of other data.
    licences = dict.fromkeys(drives.manifest.licences + (backbone.manifest.licences if backbone else ()))
    return out.publish({"keyframes": len(tokens), "steps": len(history)}, summary, tuple(licences))


def _check_intensity(drives: Artifact, recipe: FinetuneRecipe) -> None:
    """A sensor that measures another range than the recipe is for must not be fed to the network unseen."""
    most, intensity = intensity_max(drives.manifest), recipe.network.intensity
    expected = intensity.for_max if intensity else _INTENSITY_MAX
    if most == expected:
        return
    found = "a range that their table does not state" if most is None else f"0..{most:g}"
    meant = "drives whose table states none" if expected is None else f"0..{expected:g}"
    if most == _INTENSITY_MAX:
        remedy = "Set finetune.network.intensity=null."
    elif most is None:
        remedy = (
            "`olivine datasets check` prints the greatest of a split: convert 0..1 by "
            'finetune.network.intensity={"scale": 255, "for_max": null}, and 0..255 with the scale 1.'
        )
    else:
        remedy = (
            "Say how to convert them to 0..255, as in "
            f'finetune.network.intensity={{"scale": {_INTENSITY_MAX / most:g}, "for_max": {most:g}}}, or take a recipe '
            "for this data set."
        )
    raise UsageError(f"drives {drives.id[:12]} hold intensities of {found}, and the recipe is for {meant}. {remedy}")


def _load_backbone(segmenter: Segmenter, backbone: Artifact, recipe: FinetuneRecipe) -> None:
    remedy = "Fine-tune with the recipe it was pretrained with."
    load_backbone(segmenter.backbone, backbone, recipe.network, remedy)


def _train(
    out: Output,
    drives: Drives,
    tokens: list[str],
    segmenter: Segmenter,
    recipe: FinetuneRecipe,
    from_random: bool,
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    order = Order(len(tokens), min(recipe.batch_size, len(tokens)), recipe.epochs, recipe.seed)
    forward = Forward(segmenter, LabelledSamples(drives, recipe), recipe)
    optimizer = build_optimizer(recipe.optimizer, _groups(segmenter, recipe, from_random))
    notes, first_step = _resume(out, segmenter, optimizer)
    # Drives may have no `select` split: then there is no curve.
    wants_curve = recipe.curve_points and drives.tokens("select")
    curve_every = max(order.num_steps // recipe.curve_points, 1) if wants_curve else 0
    forward.train()
    with deterministic(), stop_flag() as stop, Progress("finetune", order.num_steps, "steps") as progress:
        progress.skip(first_step)
        for batch in order.batches(first_step):
            rate = set_rate(
                optimizer, rate_factor(recipe.optimizer, batch.step, order.num_steps, order.steps_per_epoch)
            )
            logits_RC, label_R = forward([tokens[position] for position in batch.positions], batch.epoch)
            value = _step(optimizer, segmenter, segmentation_loss(logits_RC, label_R), recipe)
            done = batch.step + 1
            notes["loss"].append({"step": batch.step, "lr": rate, "loss": value})
            if curve_every and (done % curve_every == 0 or done == order.num_steps):
                notes["curve"].append({"step": done, "miou": select_miou(segmenter, drives, recipe.network)})
                forward.train()
            progress.advance(1, loss=value)
            if stop.is_set or (done % recipe.checkpoint_every == 0 and done < order.num_steps):
                tensors = {"model": segmenter.state_dict(), "optimizer": flatten_optimizer(optimizer)}
                save_checkpoint(out, Checkpoint(done, tensors, notes))
            if stop.is_set:
                raise Interrupted(f"finetune: stopped by SIGTERM after step {done}; run it again to go on from there.")
    return notes["loss"], notes["curve"]


def _groups(segmenter: Segmenter, recipe: FinetuneRecipe, from_random: bool) -> list[dict[str, Any]]:
    """A pretrained backbone moves slowly under a fast head; from random, everything moves alike."""
    backbone_lr, head_lr = (recipe.random_lr,) * 2 if from_random else (recipe.optimizer.lr, recipe.head_lr)
    head = {"params": list(segmenter.head.parameters()), "lr": head_lr}
    if recipe.frozen != "no":
        return [head | {"lr": recipe.head_lr}]
    return [{"params": list(segmenter.backbone.parameters()), "lr": backbone_lr}, head]


def _resume(
    out: Output, segmenter: Segmenter, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, list[dict[str, float]]], int]:
    checkpoint = load_checkpoint(out)
    if checkpoint is None:
        return {"loss": [], "curve": []}, 0
    segmenter.load_state_dict(checkpoint.tensors["model"])
    restore_optimizer(optimizer, checkpoint.tensors["optimizer"])
    return checkpoint.notes, checkpoint.step


def _step(optimizer: torch.optim.Optimizer, segmenter: Segmenter, loss: torch.Tensor, recipe: FinetuneRecipe) -> float:
    value = float(loss.detach())
    if value != value or value == float("inf"):
        raise DataError("finetune: the loss is not finite. Lower the learning rates or set optimizer.clip_norm.")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if recipe.optimizer.clip_norm:
        torch.nn.utils.clip_grad_norm_(segmenter.parameters(), recipe.optimizer.clip_norm)
    optimizer.step()
    return value
