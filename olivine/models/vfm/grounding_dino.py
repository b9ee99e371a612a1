"""Grounding DINO (arXiv 2303.05499) as a detector: images and prompts in, boxes out; two implementations behind it.

Shapes: B images, Q queries, L tokens.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage
from torch import Tensor, nn

from olivine.errors import ConfigError
from olivine.models.image.families import IMAGENET_MEAN, IMAGENET_STD
from olivine.models.vfm.device import autocast, in_batches
from olivine.models.vfm.prompts import Text, split_prompts
from olivine.models.vfm.recipe import DetectorRecipe
from olivine.models.vfm.seam import Boxes, Image


class DetectorNetwork(Protocol):
    """One implementation with its weights. Its text encoder must be an `EncodedOnce`."""

    tokenizer: Any
    max_tokens: int

    def __call__(self, pixels_B3HW: Tensor, text: Text) -> tuple[Tensor, Tensor]:
        """Logits [B, Q, L] of the text's tokens; boxes [B, Q, 4]: centre and size, 0..1."""
        ...


class EncodedOnce(nn.Module):
    """A text encoder that encodes a text the first time alone: its prompts are the same for every image."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.known: dict[bytes, Tensor] = {}

    def forward(self, input_ids: Tensor, *arguments: Any, **named: Any) -> Any:
        """As the encoder's own, for a batch of one and the same text; of its output the last hidden state."""
        from transformers.modeling_outputs import BaseModelOutput

        key = input_ids[0].cpu().numpy().tobytes()
        if key not in self.known:
            first = [_first(item) for item in arguments]
            output = self.encoder(input_ids[:1], *first, **{name: _first(item) for name, item in named.items()})
            self.known[key] = output["last_hidden_state"]
        return BaseModelOutput(last_hidden_state=self.known[key].expand(len(input_ids), -1, -1))


def _first(item: Any) -> Any:
    return item[:1] if isinstance(item, Tensor) else item


class GroundingDino:
    """The detector: `detect` of `olivine.models.vfm.seam`."""

    def __init__(
        self, network: DetectorNetwork, prompts: list[str], recipe: DetectorRecipe, device: torch.device, batch: int
    ) -> None:
        self._network, self._recipe, self._device, self._batch = network, recipe, device, batch
        self._texts = split_prompts(prompts, network.tokenizer, network.max_tokens)

    def detect(self, images: list[Image]) -> list[Boxes]:
        """As `Detector.detect`."""
        return in_batches(images, self._batch, self._device, lambda part: self._detect_batch(list(part)))

    def _detect_batch(self, images: list[Image]) -> list[Boxes]:
        height, width = images[0].shape[:2]
        size = input_size((height, width), self._recipe.short_side_px, self._recipe.long_side_px)
        pixels_B3HW = torch.stack([normalise(resize(image, size)) for image in images]).to(self._device)
        with torch.inference_mode(), autocast(self._device, self._recipe.precision):
            answers = [(text, *self._network(pixels_B3HW, text)) for text in self._texts]
        return [
            merge_boxes(
                [
                    (text, *read_answer(text, logits_BQL[number].float(), box_BQ4[number].float()))
                    for text, logits_BQL, box_BQ4 in answers
                ],
                (height, width),
                self._recipe,
            )
            for number in range(len(images))
        ]


def input_size(size: tuple[int, int], short_px: int, long_px: int) -> tuple[int, int]:
    """(height, width) at which an image of `size` is shown, as Grounding DINO's own transforms have it."""
    short, long = min(size), max(size)
    if long / short * short_px > long_px:
        short_px = round(long_px * short / long)
    scaled_px = int(short_px * long / short)
    return (short_px, scaled_px) if size[0] <= size[1] else (scaled_px, short_px)


def resize(image: Image, size: tuple[int, int]) -> Image:
    """The image at (height, width), bilinear with antialias, as Pillow does it: the same bytes on every machine."""
    return np.asarray(PilImage.fromarray(image).resize((size[1], size[0]), PilImage.Resampling.BILINEAR))


def normalise(image: Image) -> Tensor:
    """Float32 [3, H, W] with ImageNet's mean and deviation."""
    mean, std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    return torch.from_numpy(((image.astype(np.float32) - mean) / std).transpose(2, 0, 1).copy())


def read_answer(text: Text, logits_QL: Tensor, box_Q4: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Score of each query for each prompt of the text float32 [Q, P], and boxes [Q, 4] as corners, 0..1.

    Raises:
        ConfigError: scores or boxes that are no numbers.
    """
    probability_QL = logits_QL.sigmoid()
    score_QP = torch.stack([probability_QL[:, first:last].mean(dim=1) for first, last in text.spans], dim=1)
    if not (score_QP.isfinite().all() and box_Q4.isfinite().all()):
        raise ConfigError(
            "the detector gives no numbers: its weights are damaged, or half precision is too narrow for them "
            "(label.detector.precision=fp32)."
        )
    centre_Q2, size_Q2 = box_Q4[:, :2], box_Q4[:, 2:]
    corner_Q4 = torch.cat([centre_Q2 - size_Q2 / 2, centre_Q2 + size_Q2 / 2], dim=1)
    return score_QP.cpu().numpy(), corner_Q4.cpu().numpy()


def merge_boxes(
    answers: list[tuple[Text, NDArray[np.float32], NDArray[np.float32]]], size: tuple[int, int], recipe: DetectorRecipe
) -> Boxes:
    """The best prompt of each query of each text, those above `keep_score` alone, the best `max_boxes` of them."""
    boxes, scores, prompts = [], [], []
    scale_4 = np.array([size[1], size[0], size[1], size[0]], np.float32)
    for text, score_QP, corner_Q4 in answers:
        best_Q = score_QP.argmax(axis=1)
        prompts.append(np.asarray(text.prompts, np.int64)[best_Q])
        scores.append(score_QP[np.arange(len(best_Q)), best_Q])
        boxes.append((corner_Q4 * scale_4).clip(0, scale_4))
    box_K4, score_K, prompt_K = np.concatenate(boxes), np.concatenate(scores), np.concatenate(prompts)
    # A box of less than a pixel encloses nothing that could be cut out.
    inside_K = (box_K4[:, 2:] - box_K4[:, :2]).min(axis=1, initial=np.inf) >= 1
    kept = np.flatnonzero(inside_K & (score_K >= np.float32(recipe.keep_score)))
    kept = kept[np.argsort(-score_K[kept], kind="stable")][: recipe.max_boxes]
    return Boxes(box_K4[kept], score_K[kept], prompt_K[kept])
