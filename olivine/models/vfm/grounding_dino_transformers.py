"""Grounding DINO by transformers' GroundingDinoForObjectDetection, from a folder in that library's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olivine.errors import ConfigError, DataError
from olivine.models.vfm.grounding_dino import EncodedOnce
from olivine.models.vfm.prompts import Text
from olivine.models.vfm.weights import EXTRA, load_pretrained

try:
    from transformers import BertTokenizerFast, GroundingDinoForObjectDetection
except ImportError as missing:
    raise ConfigError(f"Grounding DINO needs transformers, which is not installed: {EXTRA}.") from missing


_ENDS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""Ids of BERT that the library's class has in its code: with others, phrases would run into one another unseen."""


class TransformersGroundingDino:
    """The network behind `DetectorNetwork`."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        self.model = model.eval().requires_grad_(False).to(device)
        self.tokenizer = tokenizer
        self.max_tokens: int = model.config.max_text_len
        self.model.model.text_backbone = EncodedOnce(self.model.model.text_backbone)

    def __call__(self, pixels_B3HW: Tensor, text: Text) -> tuple[Tensor, Tensor]:
        """As `DetectorNetwork`."""
        ids_BL = torch.tensor([text.ids], device=pixels_B3HW.device).expand(len(pixels_B3HW), -1)
        output = self.model(pixel_values=pixels_B3HW, input_ids=ids_BL)
        return output.logits, output.pred_boxes


def load(path: Path, device: torch.device) -> TransformersGroundingDino:
    """The network of a folder with config.json, model.safetensors and the tokenizer's files.

    Raises:
        DataError: the folder holds another model, or no tokenizer.
    """
    tokenizer = load_tokenizer(path)
    found = {token: tokenizer.convert_tokens_to_ids(token) for token in _ENDS}
    if found != _ENDS:
        raise DataError(
            f"{path}: the tokenizer of another model: the network knows the end of a phrase by the ids {_ENDS}, the "
            f"tokenizer has {found}."
        )
    return TransformersGroundingDino(load_pretrained(GroundingDinoForObjectDetection, path), tokenizer, device)


def load_tokenizer(path: Path) -> Any:
    """BERT's tokenizer from the files of a folder (ConfigError: they are not there)."""
    if not any((path / name).is_file() for name in ("vocab.txt", "tokenizer.json")):
        raise ConfigError(f"{path} holds no tokenizer: vocab.txt or tokenizer.json must lie beside the weights.")
    return BertTokenizerFast.from_pretrained(str(path), local_files_only=True)
