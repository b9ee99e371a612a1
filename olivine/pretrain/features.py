"""Image features, computed once an image by the frozen encoder and kept as an artifact of their own.

Several pretrainings share them: they depend on the drives and the encoder alone.
"""

from __future__ import annotations

from typing import Any

import torch

from olivine.artifacts import Artifact, Output, begin
from olivine.artifacts.shards import cut_shards, finish_shards
from olivine.drives import Drives
from olivine.errors import StoreError
from olivine.models.image import ImageEncoder, load_image_encoder
from olivine.models.image.recipe import EncoderRecipe
from olivine.packs import Entry, array_bytes, build_shard, index_bytes
from olivine.pretrain.images import decode_at_encoder_size
from olivine.progress import Progress
from olivine.training.deepspeed_engine import World, wait_for_all

_KEYFRAMES_PER_SHARD = 16


def encode_images(drives: Artifact, tokens: list[str], recipe: EncoderRecipe, world: World) -> Artifact:
    """The `image_features` artifact of these keyframes: float16 [6, C, height / stride, width / stride] each.

    Every process encodes its share of the shards, so that none waits long for another; the first one publishes.
    """
    encoder = load_image_encoder(recipe, device=world.device)
    shards = cut_shards(tokens, _KEYFRAMES_PER_SHARD)
    out = _begin(drives, tokens, recipe, encoder)
    if isinstance(out, Output):
        mine = {number: shards[number] for number in list(shards)[world.rank :: world.size]}
        with Progress("pretrain: encode images", sum(map(len, mine.values())), "keyframes") as progress:
            finish_shards(
                out,
                mine,
                progress,
                lambda number, part: _encode_shard(out, Drives(drives), encoder, part, number, recipe, progress),
            )
    wait_for_all()
    if world.is_first and isinstance(out, Output):
        _publish(out, drives, encoder, recipe, len(shards), len(tokens))
    wait_for_all()
    finished = _begin(drives, tokens, recipe, encoder)
    assert isinstance(finished, Artifact)
    return finished


def _begin(drives: Artifact, tokens: list[str], recipe: EncoderRecipe, encoder: ImageEncoder) -> Artifact | Output:
    resolved = recipe.resolved() | {"encoder_digest": encoder.digest, "keyframes": tokens}
    return begin(drives.store, "pretrain", "image_features", {"drives": drives.manifest}, resolved, seed=0)


def _publish(
    out: Output, drives: Artifact, encoder: ImageEncoder, recipe: EncoderRecipe, num_shards: int, num_keyframes: int
) -> None:
    rows = []
    for number in range(num_shards):
        note = out.load_part(f"shard-{number:05d}")
        if note is None:
            raise StoreError(f"{out.store.url}: shard {number} of the image features is gone. Run the stage again.")
        rows += note["rows"]
    out.put("index.parquet", index_bytes(rows, {}))
    counts = {"keyframes": num_keyframes, "images": 6 * num_keyframes}
    out.publish(counts, encoder_summary(encoder, recipe), drives.manifest.licences)


def encoder_summary(encoder: ImageEncoder, recipe: EncoderRecipe) -> dict[str, Any]:
    """What a backbone says of its teacher."""
    summary = {"encoder": recipe.name, "note": encoder.simulated_note, "channels": encoder.channels}
    return summary | ({"weights_sha256": encoder.weights_sha256} if encoder.weights_sha256 else {})


def _encode_shard(
    out: Output,
    drives: Drives,
    encoder: ImageEncoder,
    tokens: list[str],
    number: int,
    recipe: EncoderRecipe,
    progress: Progress,
) -> dict[str, Any]:
    entries = []
    for token in tokens:
        images = torch.stack([decode_at_encoder_size(jpeg, recipe) for jpeg in drives.images(token)])
        maps_ICHW = encoder.encode(images).to(torch.float16).cpu().numpy()
        entries.append(Entry(token, {"maps.npy": array_bytes(maps_ICHW)}))
        progress.advance()
    path = f"image_features/{number:05d}.tar"
    data, rows = build_shard(path, entries)
    out.put(path, data)
    note = {"rows": rows}
    out.save_part(f"shard-{number:05d}", [path], note)
    return note
