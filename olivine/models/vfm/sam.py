"""Segment Anything (arXiv 2304.02643, 2408.00714) as a segmenter: an image is embedded once, boxes are cut in batches.

Shapes: B images, K boxes, S the side of the network's square input.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from olivine.models.vfm.device import autocast, in_batches
from olivine.models.vfm.grounding_dino import normalise, resize
from olivine.models.vfm.recipe import SegmenterRecipe
from olivine.models.vfm.seam import Image, Masks

_BOXES_AT_ONCE = 32
"""Fixed, and no choice of the recipe: the last bits of a product may depend on how many rows it has. On a processor,
which gains nothing from more, it is one: a mask is the same whatever else was detected."""


class SegmenterNetwork(Protocol):
    """One implementation with its weights."""

    side: int
    """S [pixels]."""
    keeps_aspect: bool
    """Whether images are padded to the square (SAM), or stretched to it (SAM 2)."""

    def embed(self, pixels_B3SS: Tensor) -> list[Any]:
        """One embedding for each normalised image."""
        ...

    def decode(self, embedding: Any, box_K4: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [K, s, s] at a quarter of the side, and predicted IoU [K], for boxes in pixels of the input."""
        ...

    def decode_points(self, embedding: Any, point_K2: Tensor, min_quality: float) -> tuple[Tensor, Tensor]:
        """Three masks a point (x, y in pixels of the input), those alone whose predicted IoU is above `min_quality`:

        logits [M, s, s] and predicted IoU [M], in the order of the points.
        """
        ...


class Sam:
    """The segmenter: `embed` and `segment` of `olivine.models.vfm.seam`."""

    def __init__(self, network: SegmenterNetwork, recipe: SegmenterRecipe, device: torch.device, batch: int) -> None:
        self._network, self._precision, self.device, self._batch = network, recipe.precision, device, batch
        self.side = network.side
        self.boxes_at_once = 1 if device.type == "cpu" else _BOXES_AT_ONCE

    def embed(self, images: list[Image]) -> list[Any]:
        """As `Segmenter.embed`."""
        return in_batches(images, self._batch, self.device, lambda part: self._embed_batch(list(part)))

    def _embed_batch(self, images: list[Image]) -> list[Any]:
        pixels_B3SS = torch.stack([self._prepare(image) for image in images]).to(self.device)
        with torch.inference_mode(), autocast(self.device, self._precision):
            return self._network.embed(pixels_B3SS)

    def _prepare(self, image: Image) -> Tensor:
        side = self._network.side
        height, width = self.shown(image.shape[:2])
        pixels_3hw = normalise(resize(image, (height, width)))
        # Padded after the normalisation, as the authors do: with zeros, which are the mean colour.
        return functional.pad(pixels_3hw, (0, side - width, 0, side - height))

    def shown(self, size: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) of the image within the square."""
        side = self._network.side
        if not self._network.keeps_aspect:
            return side, side
        scale = side / max(size)
        return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)

    def segment(self, embedding: Any, size: tuple[int, int], box_K4: NDArray[np.float32]) -> Masks:
        """As `Segmenter.segment`."""
        shown = self.shown(size)
        scale_4 = np.array([shown[1] / size[1], shown[0] / size[0]] * 2, np.float32)
        scaled_K4 = torch.from_numpy(box_K4 * scale_4).to(self.device)
        masks, quality = [np.zeros((0, *size), bool)], [np.zeros(0, np.float32)]
        for part_k4 in torch.split(scaled_K4, self.boxes_at_once) if len(box_K4) else ():
            with torch.inference_mode(), autocast(self.device, self._precision):
                logits_kss, quality_k = self._network.decode(embedding, part_k4)
            masks.append((self.enlarge(logits_kss.float(), size) > 0).cpu().numpy())
            quality.append(quality_k.float().cpu().numpy())
        return Masks(np.concatenate(masks), np.concatenate(quality))

    def decode_points(self, embedding: Any, point_K2: Tensor, min_quality: float) -> tuple[Tensor, Tensor]:
        """As `SegmenterNetwork.decode_points`."""
        with torch.inference_mode(), autocast(self.device, self._precision):
            logits_Mss, quality_M = self._network.decode_points(embedding, point_K2.to(self.device), min_quality)
        return logits_Mss.float(), quality_M.float()

    def enlarge(self, logits_kss: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits at the image's size, as the authors enlarge them: SAM to the square first, to cut off its padding."""
        logits_k1ss = logits_kss[:, None]
        if self._network.keeps_aspect:
            square = (self._network.side, self._network.side)
            logits_k1ss = functional.interpolate(logits_k1ss, square, mode="bilinear", align_corners=False)
            height, width = self.shown(size)
            logits_k1ss = logits_k1ss[..., :height, :width]
        return functional.interpolate(logits_k1ss, size, mode="bilinear", align_corners=False)[:, 0]
