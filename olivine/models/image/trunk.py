"""ResNet-50 and the ViTs as image encoders: torchvision's and timm's networks without their classifiers."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from olivine.errors import ConfigError, UsageError
from olivine.models.image.checkpoint import read_tensors
from olivine.models.image.families import FAMILIES, RESNET_CHANNELS, RESNET_STRIDES, VIT_CHANNELS
from olivine.models.image.frozen import Facts, FrozenEncoder
from olivine.models.image.layouts import load_tensors
from olivine.models.image.recipe import RANDOM, EncoderRecipe
from olivine.models.weights_path import place_weights

try:
    import timm
    from torchvision.models import resnet50
except ImportError as missing:
    raise ConfigError(
        "The ResNet and ViT image encoders need torchvision and timm: install olivine[train]."
    ) from missing

RANDOM_SEED = 0
CLASSIFIER = ("avgpool", "fc")
TIMM_NAMES = {
    "dino": "{}_patch16_224",
    "dino_patch8": "{}_patch8_224",
    "augreg": "{}_patch16_224",
    "dinov2": "{}_patch14_dinov2",
    "dinov2_registers": "{}_patch14_reg4_dinov2",
    # With biases of query and value: zero in the released small, base and large ones, but part of their files.
    "dinov3": "{}_patch16_dinov3_qkvb",
}


class PatchTokens(nn.Module):
    """A ViT's patch tokens after its last normalisation, as a map; class token and registers are left out.

    At other sizes than the ViT was trained at, timm resamples its position embedding (bicubic, antialiased), or
    computes rotary positions for the grid at hand.
    """

    def __init__(self, vit: Any, patch_size: int) -> None:
        super().__init__()
        self.vit: Any = vit
        self._patch_size = patch_size

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Features [B, C, H / patch, W / patch]."""
        rows, columns = (side // self._patch_size for side in images_B3HW.shape[2:])
        tokens_BTC: Tensor = self.vit.forward_features(images_B3HW)
        return tokens_BTC[:, -rows * columns :].transpose(1, 2).reshape(len(tokens_BTC), -1, rows, columns)


def load_trunk(recipe: EncoderRecipe, device: torch.device) -> FrozenEncoder:
    """The encoder of a ResNet's or ViT's recipe (errors: see `load_image_encoder`)."""
    assert recipe.family is not None
    if recipe.weights is None:
        raise UsageError(
            f"The image encoder {recipe.name} needs weights: --set pretrain.encoder.weights=FILE, of the family "
            f"{recipe.family}, and --set pretrain.encoder.weights_sha256=DIGEST, which `sha256sum` prints; or "
            f"pretrain.encoder.weights={RANDOM!r} for an encoder that learned nothing."
        )
    sha256 = recipe.weights_sha256
    path = place_weights(recipe.weights, sha256) if sha256 else None
    tensors = read_tensors(path, sha256) if path and sha256 else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        network = build_trunk(recipe.name, recipe.family)
    if tensors is not None:
        load_tensors(network, tensors, recipe.family, f"{path} is no {recipe.name} of {recipe.family}")
    facts = _facts(recipe, recipe.family, network)
    trunk = network if recipe.name in RESNET_STRIDES else PatchTokens(network, recipe.stride)
    return FrozenEncoder(trunk, facts, device, recipe.precision)


def build_trunk(name: str, family: str) -> nn.Module:
    """The network of an encoder, freshly initialised; its names are torchvision's (ResNets) or timm's (ViTs)."""
    if name not in RESNET_STRIDES:
        vit: nn.Module = timm.create_model(
            TIMM_NAMES[family].format(name), pretrained=False, num_classes=0, dynamic_img_size=True
        )
        return vit
    resnet = resnet50(weights=None, replace_stride_with_dilation=[name == "resnet50"] * 3)
    return nn.Sequential(
        OrderedDict((part, module) for part, module in resnet.named_children() if part not in CLASSIFIER)
    )


def _facts(recipe: EncoderRecipe, family: str, network: nn.Module) -> Facts:
    learned = recipe.weights != RANDOM
    note = f"The image encoder is NOT pretrained: {recipe.name} with random parameters (seed {RANDOM_SEED})."
    return Facts(
        f"{recipe.name} ({family if learned else RANDOM})",
        _parameters_digest(network),
        recipe.stride,
        VIT_CHANNELS.get(recipe.name, RESNET_CHANNELS),
        FAMILIES[family].mean,
        FAMILIES[family].std,
        None if learned else note,
    )


def _parameters_digest(network: nn.Module) -> str:
    """Sha256 (hex) of all parameters and running statistics by name: the same for every file that holds them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
