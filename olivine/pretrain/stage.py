"""The stage `pretrain`: train the distiller under DeepSpeed, resuming where a run ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from olivine.artifacts import Artifact, Output, begin, open_artifact
from olivine.drives import Drives
from olivine.errors import DataError, Interrupted
from olivine.models.image import load_image_encoder
from olivine.packs import Pack
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.features import encode_images, encoder_summary
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.samples import PretrainSamples, Sources
from olivine.progress import Progress
from olivine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from olivine.training.deepspeed_engine import Engine, World, any_process, join_world, wait_for_all
from olivine.training.determinism import deterministic
from olivine.training.optimizer import build_optimizer, rate_factor, set_rate
from olivine.training.order import Order
from olivine.training.signals import stop_flag
from olivine.training.tensors import flatten_optimizer, restore_optimizer, tensors_bytes


def run(drives: Artifact, weak_labels: Artifact, density_weights: Artifact, recipe: PretrainRecipe) -> Artifact:
    """Pretrain a backbone; return the `backbone` artifact, finished earlier or now.

    Raises:
        UsageError: inputs that do not belong together, too few keyframes for a batch, or a batch that cannot be cut
            into equal shares. DataError: a loss that is not a number.
        Interrupted: SIGTERM came; a checkpoint of the last step is kept.
    """
    density_weights.require_made_from("drives", drives)
    density_weights.require_made_from("weak_labels", weak_labels)
    inputs = {
        "drives": drives.manifest,
        "weak_labels": weak_labels.manifest,
        "density_weights": density_weights.manifest,
    }
    out = begin(drives.store, "pretrain", "backbone", inputs, recipe.resolved(), recipe.seed)
    if isinstance(out, Artifact):
        return out
    world = join_world()
    reader, weights = Drives(drives), Pack(density_weights)
    tokens = [token for token in reader.tokens(recipe.splits) if weights.index.position(token) is not None]
    order = Order(len(tokens), recipe.batch_size, recipe.epochs, recipe.seed)
    order.share(world.size)
    teacher = _teacher(drives, tokens, recipe, world)
    num_classes = len(weak_labels.manifest.summary["classes"])
    labels = Pack(weak_labels) if recipe.needs_labels else None
    samples = PretrainSamples(Sources(reader, weights, teacher.features, labels, num_classes), recipe)
    distiller = Distiller(recipe, num_classes, teacher.summary.get("channels", 0))
    history = _train(out, samples, teacher.encode, tokens, order, distiller, recipe, world)
    if world.is_first:
        _publish(out, distiller, history, recipe, teacher.summary, weak_labels, tokens, samples.hidden_pairs)
    wait_for_all()
    finished = open_artifact(drives.store, "pretrain", out.id)
    assert finished is not None
    return finished


@dataclass(frozen=True)
class _Teacher:
    """The image branch: stored features of whole images, an encoder that runs at every step, or neither."""

    features: Pack | None
    encode: Callable[[PretrainBatch], PretrainBatch]
    summary: dict[str, Any]


def _teacher(drives: Artifact, tokens: list[str], recipe: PretrainRecipe, world: World) -> _Teacher:
    if not recipe.needs_images:
        return _Teacher(None, lambda batch: batch, {})
    if not recipe.augment_images.enabled:
        features = encode_images(drives, tokens, recipe.encoder, world)
        summary = features.manifest.summary | {"image_features": features.id}
        return _Teacher(Pack(features), lambda batch: batch, summary)
    encoder = load_image_encoder(recipe.encoder, device=world.device)

    def encode(batch: PretrainBatch) -> PretrainBatch:
        assert batch.images_IHW3 is not None
        return replace(batch, maps_ICHW=encoder.encode(batch.images_IHW3), images_IHW3=None)

    return _Teacher(None, encode, encoder_summary(encoder, recipe.encoder))


def _train(
    out: Output,
    samples: PretrainSamples,
    encode: Callable[[PretrainBatch], PretrainBatch],
    tokens: list[str],
    order: Order,
    distiller: Distiller,
    recipe: PretrainRecipe,
    world: World,
) -> list[dict[str, float]]:
    optimizer = build_optimizer(recipe.optimizer, [{"params": [p for p in distiller.parameters() if p.requires_grad]}])
    checkpoint = load_checkpoint(out)
    engine = Engine(distiller, optimizer, recipe.batch_size, world, recipe.optimizer.clip_norm)
    history: list[dict[str, float]] = []
    first_step = 0
    if checkpoint:
        distiller.load_state_dict(checkpoint.tensors["model"])
        restore_optimizer(optimizer, checkpoint.tensors["optimizer"])
        first_step, history = checkpoint.step, checkpoint.notes["history"]
    distiller.train()
    with deterministic(), stop_flag() as stop, Progress("pretrain", order.num_steps, "steps") as progress:
        progress.skip(first_step)
        for batch in order.batches(first_step, world.rank, world.size):
            rate = set_rate(
                optimizer, rate_factor(recipe.optimizer, batch.step, order.num_steps, order.steps_per_epoch)
            )
            generator = torch.Generator().manual_seed(_draw_seed(recipe.seed, batch.step, world.rank))
            keyframes = [tokens[position] for position in batch.positions]
            losses = engine.forward(encode(samples.batch(keyframes, batch.epoch).to(world.device)), generator)
            values = {name: float(value.detach()) for name, value in losses.items()}
            _require_finite(values, batch.step, keyframes)
            engine.backward_and_step(losses["loss"])
            distiller.after_step()
            history.append({"step": batch.step, "lr": rate, **values})
            progress.advance(1, **values)
            done = batch.step + 1
            stopped = any_process(stop.is_set, world)
            if world.is_first and (stopped or (done % recipe.checkpoint_every == 0 and done < order.num_steps)):
                save_checkpoint(out, _checkpoint(done, distiller, optimizer, history))
            if stopped:
                raise Interrupted(f"pretrain: stopped by SIGTERM after step {done}; run it again to go on from there.")
    return history


def _draw_seed(seed: int, step: int, rank: int) -> int:
    """Pairs are drawn anew at each step and process, and alike in every run."""
    return (seed * 1_000_003 + step) * 4099 + rank


def _require_finite(values: dict[str, float], step: int, keyframes: list[str]) -> None:
    bad = [name for name, value in values.items() if value != value or value in (float("inf"), float("-inf"))]
    if bad:
        raise DataError(
            f"pretrain: {', '.join(bad)} is not finite at step {step} (keyframes {', '.join(keyframes)}). The last "
            "checkpoint is untouched. Lower the learning rate or set optimizer.clip_norm."
        )


def _checkpoint(
    step: int, distiller: Distiller, optimizer: torch.optim.Optimizer, history: list[dict[str, float]]
) -> Checkpoint:
    tensors = {"model": distiller.state_dict(), "optimizer": flatten_optimizer(optimizer)}
    return Checkpoint(step, tensors, {"history": history})


def _publish(
    out: Output,
    distiller: Distiller,
    history: list[dict[str, float]],
    recipe: PretrainRecipe,
    teacher: dict[str, Any],
    weak_labels: Artifact,
    tokens: list[str],
    hidden_pairs: dict[str, int],
) -> None:
    out.put("backbone.safetensors", tensors_bytes(distiller.backbone.state_dict()))
    out.put("distiller.safetensors", tensors_bytes(distiller.state_dict()))
    out.put("history.json", json.dumps(history).encode())
    summary: dict[str, Any] = {
        "method": recipe.method,
        "loss": history[-1]["loss"],
        "encoder": {name: teacher[name] for name in ("encoder", "note", "channels") if name in teacher},
        "image_features": teacher.get("image_features"),
        "weak_labels": weak_labels.manifest.summary["kind"],
    }
    counts = {"keyframes": len(tokens), "steps": len(history)}
    if recipe.occlusion.enabled:
        counts["hidden_pairs"] = sum(hidden_pairs.values())
    out.publish(counts, summary, weak_labels.manifest.licences)
