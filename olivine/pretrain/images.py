"""Random crops and flips of camera images, with pixels and superpixel maps following (reference code, transforms)."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from olivine.models.image.recipe import EncoderRecipe
from olivine.pretrain.term_recipes import ImageAugmentationRecipe


@dataclass(frozen=True)
class Crop:
    """A rectangle [pixels] of a full image that is resized to `size` (height, width) and perhaps mirrored."""

    top: int
    left: int
    height: int
    width: int
    size: tuple[int, int]
    flipped: bool

    def map_pixels(self, pixel_K2: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where full-image pixels (row, column) land, int64 [K, 2], and which of them are inside, bool [K]."""
        scale_2 = np.array([self.size[0] / self.height, self.size[1] / self.width])
        moved_K2 = np.rint((pixel_K2 - np.array([self.top, self.left])) * scale_2).astype(np.int64)
        inside_K = ((moved_K2 >= 0) & (moved_K2 < np.array(self.size))).all(axis=1)
        if self.flipped:
            moved_K2[:, 1] = self.size[1] - 1 - moved_K2[:, 1]
        return moved_K2, inside_K

    def cut_image(self, rgb_HW3: NDArray[np.uint8], antialias: bool) -> torch.Tensor:
        """The crop uint8 [height, width, 3], bilinear."""
        part_HW3 = rgb_HW3[self.top : self.top + self.height, self.left : self.left + self.width]
        planes_13HW = torch.from_numpy(np.ascontiguousarray(part_HW3)).permute(2, 0, 1)[None]
        resized_13HW = functional.interpolate(planes_13HW, self.size, mode="bilinear", antialias=antialias)
        image_HW3 = resized_13HW[0].permute(1, 2, 0)
        return (image_HW3.flip(1) if self.flipped else image_HW3).contiguous()

    def cut_map(self, map_HW: NDArray[np.uint16], full_size: tuple[int, int]) -> NDArray[np.uint16]:
        """The crop of an id map of the full image, nearest; the map may be smaller than the image of `full_size`."""
        rows, columns = (
            (start + (np.arange(out) + 0.5) * length / out) * side / full
            for start, length, out, side, full in (
                (self.top, self.height, self.size[0], map_HW.shape[0], full_size[0]),
                (self.left, self.width, self.size[1], map_HW.shape[1], full_size[1]),
            )
        )
        cut_HW: NDArray[np.uint16] = map_HW[np.ix_(rows.astype(np.intp), columns.astype(np.intp))]
        return cut_HW[:, ::-1] if self.flipped else cut_HW

    def reduce(self, factor: int) -> Crop:
        """The same crop of an image that is `factor` times smaller."""
        top, left, height, width = (value // factor for value in (self.top, self.left, self.height, self.width))
        return replace(self, top=top, left=left, height=height, width=width)


def draw_crop(
    pixel_K2: NDArray[Any],
    full_size: tuple[int, int],
    size: tuple[int, int],
    recipe: ImageAugmentationRecipe,
    rng: np.random.Generator,
) -> Crop:
    """A crop that keeps enough of the image's pairs; the whole image when no try did.

    Args:
        pixel_K2: (row, column) of the image's pairs.
        full_size: (height, width) of the image.
        size: (height, width) to resize to.
        recipe: what to draw from.
        rng: the sample's generator.
    """
    flipped = bool(recipe.flip and rng.random() < 0.5)
    for _ in range(recipe.max_tries):
        crop = _try_crop(full_size, size, recipe, flipped, rng)
        kept = int(crop.map_pixels(pixel_K2)[1].sum()) if crop else 0
        if crop and (kept > recipe.min_pairs or kept > recipe.min_pair_share * len(pixel_K2)):
            return crop
    return Crop(0, 0, *full_size, size, flipped)


def _try_crop(
    full_size: tuple[int, int],
    size: tuple[int, int],
    recipe: ImageAugmentationRecipe,
    flipped: bool,
    rng: np.random.Generator,
) -> Crop | None:
    area = full_size[0] * full_size[1] * rng.uniform(recipe.min_area, 1.0)
    aspect = math.exp(rng.uniform(*np.log(recipe.aspect)))
    height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
    place = rng.random(2)
    if not (0 < height <= full_size[0] and 0 < width <= full_size[1]):
        return None
    top, left = int(place[0] * (full_size[0] - height + 1)), int(place[1] * (full_size[1] - width + 1))
    return Crop(top, left, height, width, size, flipped)


def decode_crop(jpeg: bytes, crop: Crop, recipe: ImageAugmentationRecipe) -> torch.Tensor:
    """The crop of a JPEG, uint8 [height, width, 3], decoded no larger than `recipe.decode` asks."""
    if recipe.decode == "full":
        return crop.cut_image(decode_image(jpeg), recipe.antialias)
    fitting = (f for f in (8, 4, 2) if crop.height // f >= crop.size[0] and crop.width // f >= crop.size[1])
    factor = next(fitting, 1)
    return crop.reduce(factor).cut_image(decode_image(jpeg, factor), recipe.antialias)


def decode_image(jpeg: bytes, factor: int = 1) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3], a whole number of times smaller: JPEG has 2, 4 and 8 for next to nothing."""
    with Image.open(io.BytesIO(jpeg)) as image:
        if factor > 1:
            image.draft("RGB", (image.width // factor, image.height // factor))
        # A copy: torch takes no array that may not be written.
        return np.array(image.convert("RGB"))


def decode_at_encoder_size(jpeg: bytes, recipe: EncoderRecipe) -> torch.Tensor:
    """RGB uint8 [height, width, 3] at the encoder's size; antialiased when it shrinks, said explicitly."""
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", (recipe.width, recipe.height))
        rgb = image.convert("RGB").resize((recipe.width, recipe.height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(rgb))
