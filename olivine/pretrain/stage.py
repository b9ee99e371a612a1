"""The stage `pretrain`: train the distiller under DeepSpeed, resuming where a run ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from olivine.artifacts import Artifact, Output, begin, open_artifact
from olivine.drives import Drives
from olivine.models.backbone import Backbone
from olivine.models.image import load_image_encoder
from olivine.models.network import build_backbone
from olivine.packs import DiskCache, Pack
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.features import encode_images, encoder_summary
from olivine.pretrain.loop import Course, Task, train
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.samples import PretrainSamples, Sources
from olivine.training.deepspeed_engine import World, join_world, wait_for_all
from olivine.training.execution import Execution
from olivine.training.order import Order
from olivine.training.start import load_backbone
from olivine.training.tensors import tensors_bytes


def run(
    drives: Artifact,
    weak_labels: Artifact,
    density_weights: Artifact,
    recipe: PretrainRecipe,
    execution: Execution | None = None,
    start: Artifact | None = None,
) -> Artifact:
    """Pretrain a backbone; return the `backbone` artifact, finished earlier or now.

    Args:
        drives, weak_labels, density_weights: artifacts that belong together.
        recipe: what is computed; part of the identity.
        execution: how it is carried out; no part of it.
        start: backbone to start from instead of random parameters; part of the identity, as every input. Heads start
            anew: they are made for classes and an encoder that may have changed.

    Raises:
        UsageError: inputs that do not belong together, a start of another network, too few keyframes for a batch, or a
            batch that cannot be cut into equal shares. DataError: a loss or gradient that is not finite.
        PeerError: another process is gone; ConfigError: out of memory.
        Interrupted: SIGTERM came; a checkpoint of the last step is kept.
    """
    density_weights.require_made_from("drives", drives)
    density_weights.require_made_from("weak_labels", weak_labels)
    inputs = {
        "drives": drives.manifest,
        "weak_labels": weak_labels.manifest,
        "density_weights": density_weights.manifest,
    } | ({"start": start.manifest} if start else {})
    out = begin(drives.store, "pretrain", "backbone", inputs, recipe.resolved(), recipe.seed)
    if isinstance(out, Artifact):
        return out
    execution = execution or Execution()
    world = join_world()
    cache = DiskCache(execution.cache, int(execution.cache_gb * 1e9)) if execution.cache else None
    reader, weights = Drives(drives, cache), Pack(density_weights, cache=cache)
    tokens = [token for token in reader.tokens(recipe.splits) if weights.index.position(token) is not None]
    order = Order(len(tokens), recipe.batch_size, recipe.epochs, recipe.seed)
    order.share(world.size, execution.accumulate)
    backbone = _first_backbone(recipe, start)
    if execution.recompute_activations:
        backbone.recompute_activations()
    teacher = _teacher(drives, tokens, recipe, world, cache)
    num_classes = len(weak_labels.manifest.summary["classes"])
    labels = Pack(weak_labels, cache=cache) if recipe.needs_labels else None
    samples = PretrainSamples(Sources(reader, weights, teacher.features, labels, num_classes), recipe)
    distiller = _distiller(recipe, num_classes, teacher.summary.get("channels", 0), world, backbone)
    course = train(Task(out, distiller, samples, teacher.encode, tokens, order, recipe, execution, world))
    if world.is_first:
        _publish(out, distiller, course, recipe, teacher.summary, weak_labels, tokens, samples.hidden_pairs, start)
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


def _teacher(
    drives: Artifact, tokens: list[str], recipe: PretrainRecipe, world: World, cache: DiskCache | None
) -> _Teacher:
    if not recipe.needs_images:
        return _Teacher(None, lambda batch: batch, {})
    if not recipe.augment_images.enabled:
        features = encode_images(drives, tokens, recipe.encoder, world)
        summary = features.manifest.summary | {"image_features": features.id}
        return _Teacher(Pack(features, cache=cache), lambda batch: batch, summary)
    encoder = load_image_encoder(recipe.encoder, device=world.device)

    def encode(batch: PretrainBatch) -> PretrainBatch:
        assert batch.images_IHW3 is not None
        return replace(batch, maps_ICHW=encoder.encode(batch.images_IHW3), images_IHW3=None)

    return _Teacher(None, encode, encoder_summary(encoder, recipe.encoder))


def _first_backbone(recipe: PretrainRecipe, start: Artifact | None) -> Backbone:
    """The backbone before the first step."""
    backbone = build_backbone(recipe.network, recipe.bn_momentum, recipe.seed)
    if start:
        load_backbone(backbone, start, recipe.network, "Start from random, or from a backbone of this network.")
    return backbone


def _distiller(
    recipe: PretrainRecipe, num_classes: int, image_channels: int, world: World, backbone: Backbone
) -> Distiller:
    distiller = Distiller(recipe, num_classes, image_channels, backbone)
    if world.size > 1 and world.device.type == "cuda" and recipe.cross_rank != "batch":
        # torch has it for the GPU alone; on a CPU each process normalises by its own share.
        converted: Distiller = nn.SyncBatchNorm.convert_sync_batchnorm(distiller)  # type: ignore[no-untyped-call]
        return converted
    return distiller


def _publish(
    out: Output,
    distiller: Distiller,
    course: Course,
    recipe: PretrainRecipe,
    teacher: dict[str, Any],
    weak_labels: Artifact,
    tokens: list[str],
    hidden_pairs: dict[str, int],
    start: Artifact | None,
) -> None:
    out.put("backbone.safetensors", tensors_bytes(distiller.backbone.state_dict()))
    out.put("distiller.safetensors", tensors_bytes(distiller.state_dict()))
    out.put("history.json", json.dumps(course.history).encode())
    summary: dict[str, Any] = {
        "method": recipe.method,
        "loss": course.history[-1]["loss"] if course.history else None,
        "encoder": {
            name: teacher[name] for name in ("encoder", "note", "channels", "weights_sha256") if name in teacher
        },
        "image_features": teacher.get("image_features"),
        "weak_labels": weak_labels.manifest.summary["kind"],
    }
    counts = {"keyframes": len(tokens), "steps": len(course.history)}
    if course.skipped:
        counts["skipped_steps"], summary["skipped"] = len(course.skipped), course.skipped
    if recipe.precision == "fp16":
        counts["overflow_steps"] = len(course.overflowed)
    if recipe.occlusion.enabled:
        counts["hidden_pairs"] = sum(hidden_pairs.values())
    licences = weak_labels.manifest.licences
    if start:
        summary["start"] = start.id
        # What it saw before comes with its licence.
        licences = tuple(dict.fromkeys(licences + start.manifest.licences))
    out.publish(counts, summary, licences)
