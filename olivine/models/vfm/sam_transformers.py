"""SAM and SAM 2 by transformers, from a folder in that library's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olivine.errors import ConfigError
from olivine.models.vfm.weights import EXTRA, load_pretrained

try:
    from transformers import Sam2Model, SamModel
except ImportError as missing:
    raise ConfigError(f"This segmenter needs transformers, which is not installed: {EXTRA}.") from missing


class TransformersSam:
    """SAM behind `SegmenterNetwork`."""

    keeps_aspect = True

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model.eval().requires_grad_(False).to(device)
        self.side: int = model.config.vision_config.image_size

    def embed(self, pixels_B3SS: Tensor) -> list[Any]:
        """As `SegmenterNetwork.embed`."""
        return list(self.model.get_image_embeddings(pixels_B3SS).split(1))

    def decode(self, embedding: Any, box_K4: Tensor) -> tuple[Tensor, Tensor]:
        """As `SegmenterNetwork.decode`."""
        output = self.model(image_embeddings=embedding, input_boxes=box_K4[None], multimask_output=False)
        return output.pred_masks[0, :, 0], output.iou_scores[0, :, 0]

    def decode_points(self, embedding: Any, point_K2: Tensor, min_quality: float) -> tuple[Tensor, Tensor]:
        """As `SegmenterNetwork.decode_points`."""
        output = self.model(image_embeddings=embedding, input_points=point_K2[None, :, None], multimask_output=True)
        good_K3 = output.iou_scores[0] > min_quality
        return output.pred_masks[0][good_K3], output.iou_scores[0][good_K3]


class TransformersSam2(TransformersSam):
    """SAM 2 behind `SegmenterNetwork`: an embedding is a list of maps at several strides."""

    keeps_aspect = False

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model.eval().requires_grad_(False).to(device)
        self.side: int = model.config.prompt_encoder_config.image_size

    def embed(self, pixels_B3SS: Tensor) -> list[Any]:
        """As `SegmenterNetwork.embed`."""
        maps = self.model.get_image_embeddings(pixels_B3SS)
        return [[map_BCHW[i : i + 1] for map_BCHW in maps] for i in range(len(pixels_B3SS))]


def load(name: str, path: Path, device: torch.device) -> TransformersSam:
    """The network of a folder with config.json and model.safetensors; `name` is sam or sam2.

    Raises:
        DataError: the folder holds another model.
    """
    if name == "sam2":
        return TransformersSam2(load_pretrained(Sam2Model, path), device)
    return TransformersSam(load_pretrained(SamModel, path), device)
