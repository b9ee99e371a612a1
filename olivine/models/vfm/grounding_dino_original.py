"""Grounding DINO by its authors' code (groundingdino-py), from their checkpoint and a folder of BERT."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olivine.errors import ConfigError, DataError
from olivine.models.image.checkpoint import read_tensors
from olivine.models.vfm.grounding_dino import EncodedOnce
from olivine.models.vfm.prompts import Text
from olivine.models.vfm.weights import EXTRA, check_names

try:
    with warnings.catch_warnings():
        # It imports timm by a deprecated path.
        warnings.simplefilter("ignore")
        import groundingdino
        from groundingdino.models import build_model
        from groundingdino.util import get_tokenlizer
        from groundingdino.util.misc import NestedTensor
        from groundingdino.util.slconfig import SLConfig
        from transformers import BertConfig, BertModel
except ImportError as missing:
    raise ConfigError(
        f"The original Grounding DINO needs groundingdino-py, which is not installed: {EXTRA}."
    ) from missing

_CONFIGS = {96: "GroundingDINO_SwinT_OGC.py", 128: "GroundingDINO_SwinB_cfg.py"}
"""The authors' configurations by the width of their image backbone."""
_WIDTH_OF = "backbone.0.patch_embed.proj.weight"
_LEFT_OVER = ("label_enc.weight", "bert.embeddings.position_ids")
"""In the authors' files, but their network never reads them."""


class OriginalGroundingDino:
    """The network behind `DetectorNetwork`."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model.eval().requires_grad_(False).to(device)
        self.tokenizer = model.tokenizer
        self.max_tokens: int = model.max_text_len
        self.model.bert = EncodedOnce(self.model.bert)

    def __call__(self, pixels_B3HW: Tensor, text: Text) -> tuple[Tensor, Tensor]:
        """As `DetectorNetwork`."""
        batch, _, height, width = pixels_B3HW.shape
        padding_BHW = torch.zeros((batch, height, width), dtype=torch.bool, device=pixels_B3HW.device)
        with warnings.catch_warnings():
            # It calls what the pinned libraries have but mean to drop.
            warnings.simplefilter("ignore")
            output = self.model(NestedTensor(pixels_B3HW, padding_BHW), captions=[text.caption] * batch)
        return output["pred_logits"], output["pred_boxes"]


def load(path: Path, sha256: str, text_encoder: Path, device: torch.device) -> OriginalGroundingDino:
    """The network from the authors' checkpoint; Swin-T or Swin-B is that of its tensors.

    Raises:
        IntegrityError: not the expected file, or no plain tensors. DataError: tensors of another model.
        ConfigError: no BERT in the folder.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in read_tensors(path, sha256).items()}
    width = len(tensors[_WIDTH_OF]) if _WIDTH_OF in tensors else 0
    if width not in _CONFIGS:
        raise DataError(f"{path}: weights of another model: it holds no Grounding DINO with Swin-T or Swin-B.")
    model = build(text_encoder, _CONFIGS[width])
    wanted = model.state_dict()
    left_over = tensors.keys() - wanted.keys() - set(_LEFT_OVER)
    shapes = [name for name, tensor in tensors.items() if name in wanted and tensor.shape != wanted[name].shape]
    check_names(path, wanted.keys() - tensors.keys(), left_over, shapes)
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if name in wanted})
    return OriginalGroundingDino(model, device)


def build(text_encoder: Path, config: str = _CONFIGS[96]) -> Any:
    """The authors' network with random parameters; of `text_encoder` its config.json and tokenizer are read.

    Raises:
        ConfigError: they are not there.
    """
    for name in ("config.json", "vocab.txt"):
        if not (text_encoder / name).is_file():
            raise ConfigError(f"{text_encoder} holds no {name}: give the folder of bert-base-uncased.")
    values = SLConfig.fromfile(str(Path(groundingdino.__file__).parent / "config" / config))
    values.text_encoder_type = str(text_encoder)
    # Recomputing activations saves memory in training alone.
    values.use_checkpoint = values.use_transformer_ckpt = False
    # The package prints to standard output, where a caller expects the id of an artifact.
    with contextlib.redirect_stdout(sys.stderr), _bert_without_weights():
        return build_model(values)


@contextlib.contextmanager
def _bert_without_weights() -> Iterator[None]:
    """BERT from its configuration: the package would read weights of it first, which the checkpoint then replaces."""
    usual = get_tokenlizer.get_pretrained_language_model
    get_tokenlizer.get_pretrained_language_model = lambda folder: BertModel(BertConfig.from_pretrained(folder))
    try:
        yield
    finally:
        get_tokenlizer.get_pretrained_language_model = usual
