"""Image features, computed once an image by the frozen encoder and kept as an artifact of their own.

Several pretrainings share them: they depend on the drives and the encoder alone.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image

from olivine.artifacts import Artifact, Output, begin
from olivine.drives import Drives
from olivine.models.image import ImageEncoder, load_image_encoder
from olivine.packs import Entry, array_bytes, build_shard, index_bytes
from olivine.pretrain.recipe import EncoderRecipe
from olivine.progress import Progress

_KEYFRAMES_PER_SHARD = 16


def encode_images(drives: Artifact, tokens: list[str], recipe: EncoderRecipe) -> Artifact:
    """The `image_features` artifact of these keyframes: float16 [6, C, height / stride, width / stride] each."""
    encoder = load_image_encoder(recipe.name)
    resolved = recipe.resolved() | {"encoder_digest": encoder.digest, "keyframes": tokens}
    out = begin(drives.store, "pretrain", "image_features", {"drives": drives.manifest}, resolved, seed=0)
    if isinstance(out, Artifact):
        return out
    reader = Drives(drives)
    rows: list[dict[str, Any]] = []
    with Progress("pretrain: encode images", len(tokens), "keyframes") as progress:
        for number, start in enumerate(range(0, len(tokens), _KEYFRAMES_PER_SHARD)):
            part = tokens[start : start + _KEYFRAMES_PER_SHARD]
            note = out.load_part(f"shard-{number:05d}")
            if note:
                progress.skip(len(part))
            else:
                note = _encode_shard(out, reader, encoder, part, number, recipe, progress)
            rows += note["rows"]
    out.put("index.parquet", index_bytes(rows, {}))
    summary = {"encoder": recipe.name, "note": encoder.simulated_note, "channels": encoder.channels}
    return out.publish({"keyframes": len(tokens), "images": 6 * len(tokens)}, summary, drives.manifest.licences)


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
        images = torch.stack([_decode(jpeg, recipe) for jpeg in drives.images(token)])
        maps_ICHW = encoder.encode(images).to(torch.float16).numpy()
        entries.append(Entry(token, {"maps.npy": array_bytes(maps_ICHW)}))
        progress.advance()
    path = f"image_features/{number:05d}.tar"
    data, rows = build_shard(path, entries)
    out.put(path, data)
    note = {"rows": rows}
    out.save_part(f"shard-{number:05d}", [path], note)
    return note


def _decode(jpeg: bytes, recipe: EncoderRecipe) -> torch.Tensor:
    """RGB uint8 [height, width, 3] at the encoder's size; antialiased when it shrinks, said explicitly."""
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", (recipe.width, recipe.height))
        rgb = image.convert("RGB").resize((recipe.width, recipe.height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(rgb))
