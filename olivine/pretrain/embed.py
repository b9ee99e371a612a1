"""What a finished pretraining sees: points and pixels in the spaces of its heads, for the figures.

Shapes: N points, S pixels, D dimensions of a space.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.models.cloud import collate
from olivine.models.image import load_image_encoder, sample_maps
from olivine.models.network import build_backbone, prepare_cloud
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.voxelnet import VoxelNet
from olivine.pretrain.heads import HeadPair, build_heads, unit
from olivine.pretrain.images import decode_at_encoder_size
from olivine.pretrain.recipe import PretrainRecipe
from olivine.training.tensors import bytes_tensors

BACKBONE = "backbone"
"""The space without a head: the backbone's own features, made unit length."""
_FILE = "distiller.safetensors"


class Embedder:
    """Backbone and heads of a `backbone` artifact, in evaluation mode, on the GPU where there is one.

    `spaces` are the names of its heads, `point_pixel` and perhaps `semantic`; none for a backbone that was imported or
    whose method trains no such head: it has the space `backbone` alone.

    Raises:
        UsageError: a backbone of another kind of artifact. IntegrityError: its tensors are none.
    """

    def __init__(self, backbone: Artifact) -> None:
        if backbone.manifest.kind != "backbone":
            raise UsageError(f"{backbone.manifest.kind} {backbone.id[:12]} is no backbone.")
        self.artifact = backbone
        network = NetworkRecipe.model_validate(backbone.manifest.recipe["network"])
        self._network, self._recipe = network, _pretrain_recipe(backbone)
        self._backbone = build_backbone(network, 0.1, seed=0)
        self._backbone.load_state_dict(bytes_tensors(backbone.read("backbone.safetensors"), "backbone"), strict=True)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._heads = self._load_heads()
        self._backbone.eval().to(self._device)

    @property
    def spaces(self) -> list[str]:
        """Names of the heads."""
        return list(self._heads)

    def has_pixels(self, space: str) -> bool:
        """Whether the space has a head for pixels too."""
        return self._heads[space].pixels is not None

    @torch.no_grad()
    def embed_points(self, points_N4: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Unit features float32 [N, D] of a sweep by space, `backbone` too; zero for points that are not seen."""
        cloud = prepare_cloud(points_N4, self._network)
        clouds = collate([cloud]).to(self._device)
        heads = {name: head.unit_points for name, head in self._heads.items()}
        if isinstance(self._backbone, VoxelNet) and self._recipe and self._recipe.sampled == "embeddings":
            features_RD, embedded = self._backbone.embed_with(clouds, heads)
        else:
            features_RD = self._backbone.embed(clouds)
            embedded = {name: head(features_RD) for name, head in heads.items()}
        spaces = embedded | {BACKBONE: unit(features_RD)}
        return {name: _of_points(rows_RD, cloud.row_N) for name, rows_RD in spaces.items()}

    @torch.no_grad()
    def embed_pixels(self, jpeg: bytes, place_S2: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
        """Unit features float32 [S, D] of pixels in each space that has a head for them.

        `place_S2` is (row, column) as shares 0..1 of height and width. The whole image is seen at the encoder's size,
        as in validation.

        Raises:
            ConfigError: the encoder's weights cannot be read.
        """
        heads = {name: head.pixels for name, head in self._heads.items() if head.pixels is not None}
        if not heads or self._recipe is None:
            return {}
        encoder = load_image_encoder(self._recipe.encoder, device=self._device)
        maps_1CHW = encoder.encode(decode_at_encoder_size(jpeg, self._recipe.encoder)[None])
        height, width = self._recipe.encoder.height, self._recipe.encoder.width
        pixels_S3 = torch.zeros((len(place_S2), 3), device=self._device)
        pixels_S3[:, 1:] = torch.from_numpy(place_S2 * np.array([height - 1, width - 1])).to(pixels_S3)
        features_SC = sample_maps(maps_1CHW, pixels_S3, (height, width)).clone()
        return {name: unit(head(features_SC)).cpu().numpy() for name, head in heads.items()}

    def _load_heads(self) -> dict[str, HeadPair]:
        if self._recipe is None:
            return {}
        state = bytes_tensors(self.artifact.read(_FILE), "distiller")
        channels = int(self.artifact.manifest.summary["encoder"].get("channels", 0))
        heads = build_heads(self._recipe, self._backbone.out_channels, channels)
        own = {name.removeprefix("heads."): tensor for name, tensor in state.items() if name.startswith("heads.")}
        heads.load_state_dict(own, strict=True)
        heads.eval().to(self._device)
        found: dict[str, Any] = dict(heads.items())
        return found


def _pretrain_recipe(backbone: Artifact) -> PretrainRecipe | None:
    """The recipe; None for a backbone that was imported, which has no heads."""
    if not any(blob.path == _FILE for blob in backbone.manifest.data):
        return None
    return PretrainRecipe.model_validate(backbone.manifest.recipe)


def _of_points(rows_RD: Tensor, row_N: NDArray[np.int64]) -> NDArray[np.float32]:
    features_ND: NDArray[np.float32] = rows_RD.cpu().numpy()[row_N]
    features_ND[row_N < 0] = 0
    return features_ND
