"""MobileSAM's image encoder: TinyViT-5M with output stride 16 and SAM's neck, at any image size.

Source: MobileSAM (arXiv 2306.14289) for the network, TinyViT (arXiv 2207.10666) for its trunk. The trunk is timm's;
what MobileSAM changed is written here. The original fixes its input to 1024x1024; windows are padded the same way at
every other size.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from olivine.errors import ConfigError
from olivine.models.image.families import IMAGENET_MEAN, IMAGENET_STD
from olivine.models.image.frozen import Facts, FrozenEncoder, Precision
from olivine.models.image.weights import MOBILESAM, read_verified

try:
    from timm.layers import LayerNorm2d
    from timm.models.tiny_vit import Attention, ConvNorm, TinyVit
except ImportError as missing:
    raise ConfigError("The mobilesam image encoder needs timm: install olivine[train].") from missing

STRIDE = 16
CHANNELS = 256
_PREFIX = "image_encoder."
UNUSED_PREFIXES = ("norm_head.", "head.")
"""TinyViT's classifier: in the file, but MobileSAM's forward pass never reaches it."""


class MobileSamNetwork(nn.Module):
    """Normalised images [B, 3, H, W] float32 to features [B, 256, H / 16, W / 16]."""

    def __init__(self) -> None:
        super().__init__()
        trunk = TinyVit(
            num_classes=0,
            embed_dims=(64, 128, 160, 320),
            depths=(2, 2, 6, 2),
            num_heads=(2, 4, 5, 10),
            window_sizes=(7, 7, 14, 7),
            drop_path_rate=0.0,
        )
        # The last stage stays at stride 16.
        trunk.stages[3].downsample.conv2.conv.stride = (1, 1)
        for module in trunk.modules():
            if isinstance(module, Attention):
                # The written-out product is the original's and, on a processor, faster with a bias than the fused one.
                module.fused_attn = False
        self.patch_embed = trunk.patch_embed
        self.stages = trunk.stages
        self.neck = nn.Sequential(
            nn.Conv2d(320, CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS, eps=1e-6),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS, eps=1e-6),
        )

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Features [B, 256, H / 16, W / 16]."""
        features: Tensor = self.neck(self.stages(self.patch_embed(images_B3HW)))
        return features


class MobileSamEncoder(FrozenEncoder):
    """The network, frozen, behind the interface of `ImageEncoder`: 256 channels at stride 16."""

    def __init__(
        self, network: MobileSamNetwork, weights_sha256: str, device: torch.device, precision: Precision = "fp32"
    ) -> None:
        facts = Facts("mobilesam", weights_sha256, STRIDE, CHANNELS, IMAGENET_MEAN, IMAGENET_STD)
        super().__init__(network, facts, device, precision)


def load_mobilesam(device: torch.device, precision: Precision = "fp32") -> MobileSamEncoder:
    """The encoder with its real weights from the cache (errors: see `load_image_encoder`)."""
    network = build_network(encoder_tensors(read_verified(MOBILESAM)))
    return MobileSamEncoder(network, MOBILESAM.file_sha256, device, precision)


def encoder_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of MobileSAM's tensors that are its image encoder's, without their prefix."""
    return {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}


def build_network(tensors: dict[str, Tensor]) -> MobileSamNetwork:
    """The network with MobileSAM's tensors (names as in its checkpoint, without `image_encoder.`), in eval mode.

    Batch normalisation is folded into the convolutions before it (frozen, so nothing is lost but time).

    Raises:
        RuntimeError: a tensor is missing, left over, or of another shape.
    """
    network = MobileSamNetwork()
    named = {_timm_name(name): tensor for name, tensor in tensors.items() if not name.startswith(UNUSED_PREFIXES)}
    network.load_state_dict(named, strict=True)
    _fold_batch_norm(network.eval())
    return network


def _timm_name(name: str) -> str:
    """MobileSAM's name of a tensor in timm's words.

    timm counts a downsampling to the stage after it, names the stem's two convolutions, and writes conv for c.
    """
    name = re.sub(r"^patch_embed\.seq\.([02])\.", lambda match: f"patch_embed.conv{int(match[1]) // 2 + 1}.", name)
    name = re.sub(r"^layers\.(\d)\.downsample\.", lambda match: f"stages.{int(match[1]) + 1}.downsample.", name)
    name = re.sub(r"^layers\.", "stages.", name)
    return name.replace(".c.", ".conv.")


def _fold_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, child.fuse())
        else:
            _fold_batch_norm(child)
