"""The OLIVINE model: a 3D backbone and two decoupled pairs of heads, with the three losses of the paper (section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from olivine.losses.category_aware import category_aware_contrastive
from olivine.losses.log_partition import zero_with_graph
from olivine.losses.point_pixel import point_pixel_info_nce
from olivine.losses.vmf import VonMisesFisher
from olivine.models.image import sample_maps
from olivine.models.minkunet import Head
from olivine.models.network import build_backbone
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.samples import IGNORE_ID, PretrainBatch


class Distiller(nn.Module):
    """Backbone, heads and category statistics.

    The point-pixel heads (`point_pixel_*`) and the semantic heads (`semantic_*`) are separate, in 3D and in 2D (paper
    Table 6b). Image heads are 1x1 convolutions; applied to features sampled at the pairs' pixels they give the values
    of the reference, which upsamples whole maps first.
    """

    def __init__(
        self, recipe: PretrainRecipe, num_classes: int, image_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self._image_size = (image_size[1], image_size[0])
        self.backbone = build_backbone(recipe.network, recipe.bn_momentum, recipe.seed)
        width, dim = recipe.network.widths[-1], recipe.embedding_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            self.point_pixel_3d, self.semantic_3d = Head(width, dim), Head(width, dim)
            self.point_pixel_2d, self.semantic_2d = nn.Linear(image_channels, dim), nn.Linear(image_channels, dim)
        consistency = recipe.consistency
        self.statistics = VonMisesFisher(
            num_classes,
            dim,
            update_rate=consistency.update_rate,
            corrected=consistency.corrected,
            max_concentration=consistency.max_concentration,
            reduction=consistency.reduction,
        )

    def forward(self, batch: PretrainBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """The three losses and their weighted sum (`loss`) for one process's share of a batch."""
        features_VD = self.backbone(batch.coordinates_V4, batch.features_V1)
        uniform_S = draw_pairs(torch.ones_like(batch.weight_M), self.recipe.num_pairs, generator)
        weighted_S = draw_pairs(batch.weight_M, self.recipe.num_pairs, generator)
        point_pixel = point_pixel_info_nce(
            _unit(self.point_pixel_3d(features_VD[batch.pair_voxel_M[uniform_S]])),
            self._image_features(self.point_pixel_2d, batch, uniform_S),
            self.recipe.temperature,
        )
        category = category_aware_contrastive(
            _unit(self.semantic_3d(features_VD[batch.pair_voxel_M[weighted_S]])),
            self._image_features(self.semantic_2d, batch, weighted_S),
            _ignored_as_negative(batch.label_M[weighted_S]),
            self.recipe.temperature,
        )
        consistency = self._consistency(features_VD, batch)
        total = (
            self.recipe.weight_point_pixel * point_pixel
            + self.recipe.weight_category * category
            + self.recipe.weight_consistency * consistency
        )
        return {"loss": total, "point_pixel": point_pixel, "category": category, "consistency": consistency}

    def _image_features(self, head: nn.Linear, batch: PretrainBatch, rows_S: Tensor) -> Tensor:
        return _unit(head(sample_maps(batch.maps_ICHW, batch.pixel_M3[rows_S], self._image_size)))

    def _consistency(self, features_VD: Tensor, batch: PretrainBatch) -> Tensor:
        """Phase one gathers statistics of all labelled pairs, phase two pulls them towards their categories."""
        labelled_M = batch.label_M != IGNORE_ID
        # The head runs on voxels and is read by pairs: a pair costs a row, not a matrix product.
        semantic_VD = _unit(self.semantic_3d(features_VD))
        semantic_ND, label_N = semantic_VD[batch.pair_voxel_M[labelled_M]], batch.label_M[labelled_M]
        recipe = self.recipe.consistency
        gathering = int(self.statistics.samples_seen) < recipe.statistics_samples
        if self.training and (gathering or recipe.keep_updating):
            self.statistics.update(semantic_ND.detach(), label_N, num_samples=batch.num_keyframes)
        if gathering:
            return zero_with_graph(semantic_ND)
        loss: Tensor = self.statistics(semantic_ND, label_N)
        return loss


def draw_pairs(weight_M: Tensor, num_pairs: int, generator: torch.Generator) -> Tensor:
    """Indices [min(num_pairs, pairs with weight)] drawn without replacement, in proportion to `weight_M`.

    Gumbel top-k: the k largest of log w + Gumbel noise are such a draw.
    """
    uniform_M = torch.rand(weight_M.shape, dtype=torch.float64, generator=generator, device=generator.device)
    gumbel_M = -torch.log(-torch.log(uniform_M.clamp_min(torch.finfo(torch.float64).tiny)))
    score_M = weight_M.double().log() + gumbel_M.to(weight_M.device)
    drawn = min(num_pairs, int((weight_M > 0).sum()))
    return score_M.topk(drawn).indices


def _ignored_as_negative(label_M: Tensor) -> Tensor:
    return torch.where(label_M == IGNORE_ID, -1, label_M)


def _unit(features_ND: Tensor) -> Tensor:
    return functional.normalize(features_ND, dim=1)
