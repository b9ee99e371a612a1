"""SAM by its authors' package, and MobileSAM: timm's TinyViT with the package's prompt encoder and mask decoder."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from olivine.errors import ConfigError, DataError
from olivine.models.image.checkpoint import read_tensors
from olivine.models.image.mobilesam import MobileSamNetwork, build_network, encoder_tensors
from olivine.models.image.weights import MOBILESAM, read_verified
from olivine.models.vfm.grounding_dino import resize
from olivine.models.vfm.recipe import SegmenterRecipe
from olivine.models.vfm.seam import Image
from olivine.models.vfm.weights import EXTRA, check_names

try:
    from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
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


class AutomaticMasks:
    """Segments of images without boxes: the masks of a grid of points, by the package's own generator."""

    def __init__(self, network: OriginalSam, recipe: SegmenterRecipe) -> None:
        self._side = network.side
        # The generator remembers the image that it is at.
        self._one_at_a_time = threading.Lock()
        self._generator = SamAutomaticMaskGenerator(
            network.modules,
            points_per_side=recipe.points_per_side,
            pred_iou_thresh=recipe.min_quality,
            stability_score_thresh=recipe.min_stability,
        )

    def segments(self, image: Image) -> NDArray[np.int64]:
        """As `AutomaticSegmenter.segments`; found at the size that the network sees, and enlarged by the nearest."""
        height, width = image.shape[:2]
        scale = min(1.0, self._side / max(height, width))
        small = (max(1, round(height * scale)), max(1, round(width * scale)))
        with self._one_at_a_time:
            masks = self._generator.generate(resize(image, small))
        ids_hw = np.full(small, -1, np.int64)
        # The largest first, so that parts lie on their wholes.
        for number, mask in enumerate(sorted(masks, key=lambda mask: (-mask["area"], mask["bbox"]))):
            ids_hw[mask["segmentation"]] = number
        rows = ((np.arange(height) + 0.5) * small[0] / height).astype(np.intp)
        columns = ((np.arange(width) + 0.5) * small[1] / width).astype(np.intp)
        enlarged_HW: NDArray[np.int64] = ids_hw[rows[:, None], columns]
        return enlarged_HW


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
