"""SAM by its authors' package, and MobileSAM: timm's TinyViT with the package's prompt encoder and mask decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from olivine.errors import ConfigError, DataError
from olivine.models.image.checkpoint import read_tensors
from olivine.models.image.mobilesam import MobileSamNetwork, build_network, encoder_tensors
from olivine.models.image.weights import MOBILESAM, read_verified
from olivine.models.vfm.sam_points import PointDecoder
from olivine.models.vfm.weights import EXTRA, check_names

try:
    from segment_anything import sam_model_registry
    from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
    from segment_anything.modeling import Sam as SamModules
except ImportError as missing:
    raise ConfigError(f"This segmenter needs segment-anything, which is not installed: {EXTRA}.") from missing

_SIZES = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""The authors' networks by the width of their image encoder."""
_SIDE, _STRIDE, _CHANNELS = 1024, 16, 256
_POSITIONS = "image_encoder.pos_embed"


class OriginalSam:
    """SAM behind `SegmenterNetwork`."""

    keeps_aspect = True

    def __init__(self, modules: Any, device: torch.device) -> None:
        self.modules = modules.eval().requires_grad_(False).to(device)
        self.side: int = modules.image_encoder.img_size
        self._points = PointDecoder(self.modules)

    def embed(self, pixels_B3SS: Tensor) -> list[Any]:
        """As `SegmenterNetwork.embed`."""
        return list(self.modules.image_encoder(pixels_B3SS).split(1))

    def decode(self, embedding: Any, box_K4: Tensor) -> tuple[Tensor, Tensor]:
        """As `SegmenterNetwork.decode`."""
        sparse, dense = self.modules.prompt_encoder(points=None, boxes=box_K4, masks=None)
        logits_K1ss, quality_K1 = self.modules.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.modules.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return logits_K1ss[:, 0], quality_K1[:, 0]

    def decode_points(self, embedding: Any, point_K2: Tensor, min_quality: float) -> tuple[Tensor, Tensor]:
        """As `SegmenterNetwork.decode_points`."""
        return self._points.decode(embedding, point_K2, min_quality)


class SizedEncoder(nn.Module):
    """MobileSAM's image encoder with the attribute by which the package knows its input."""

    img_size = _SIDE

    def __init__(self, network: MobileSamNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_B3SS: Tensor) -> Tensor:
        """Embeddings [B, 256, 64, 64]."""
        features: Tensor = self.network(pixels_B3SS)
        return features


def load_mobile_sam(device: torch.device) -> OriginalSam:
    """MobileSAM with its pinned weights from the cache (errors: see `read_verified`)."""
    return build_mobile_sam(read_verified(MOBILESAM), device)


def build_mobile_sam(tensors: dict[str, Tensor], device: torch.device) -> OriginalSam:
    """MobileSAM with these tensors, named as in its checkpoint.

    Raises:
        RuntimeError: a tensor is missing, left over, or of another shape.
    """
    encoder = build_network(encoder_tensors(tensors))
    side = _SIDE // _STRIDE
    modules = SamModules(
        SizedEncoder(encoder),
        PromptEncoder(_CHANNELS, (side, side), (_SIDE, _SIDE), mask_in_chans=16),
        MaskDecoder(
            transformer_dim=_CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=_CHANNELS, mlp_dim=2048, num_heads=8),
        ),
    )
    for part in ("prompt_encoder", "mask_decoder"):
        own = {n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(f"{part}.")}
        getattr(modules, part).load_state_dict(own, strict=True)
    return OriginalSam(modules, device)


def load(path: Path, sha256: str, device: torch.device) -> OriginalSam:
    """SAM from its authors' checkpoint; its size (ViT-B, L, H) is that of the tensors.

    Raises:
        DataError: tensors of another model.
    """
    tensors = read_tensors(path, sha256)
    width = tensors[_POSITIONS].shape[-1] if _POSITIONS in tensors else 0
    if width not in _SIZES:
        raise DataError(f"{path}: weights of another model: it holds no image encoder of SAM's ViT-B, ViT-L or ViT-H.")
    modules = sam_model_registry[_SIZES[width]](checkpoint=None)
    wanted = modules.state_dict()
    shapes = [n for n, t in tensors.items() if n in wanted and t.shape != wanted[n].shape]
    check_names(path, wanted.keys() - tensors.keys(), tensors.keys() - wanted.keys(), shapes)
    modules.load_state_dict(tensors)
    return OriginalSam(modules, device)
