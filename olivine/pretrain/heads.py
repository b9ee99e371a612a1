"""The heads in which the 3D and the image branch meet: a pair for points and pixels, and one for categories."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from olivine.models.image import sample_maps
from olivine.models.minkunet import Head
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.recipe import PretrainRecipe


class HeadPair(nn.Module):
    """A 1^3 convolution on the backbone's features and a 1x1 convolution on the teacher's, into D dimensions.

    Image heads are applied to features sampled at the pixels asked for: the values of the reference, which upsamples
    whole maps first (a 1x1 convolution commutes with bilinear interpolation).
    """

    def __init__(self, width: int, image_channels: int, dim: int) -> None:
        super().__init__()
        self.points = Head(width, dim)
        # Terms that look at no pixel need no second branch, and a parameter without a gradient would stop the engine.
        self.pixels = nn.Linear(image_channels, dim) if image_channels else None

    def unit_points(self, features_RD: Tensor) -> Tensor:
        """Unit features [R, D] of backbone features."""
        return unit(self.points(features_RD))


class Embeddings:
    """Unit features of one batch in the heads' spaces."""

    def __init__(
        self,
        heads: dict[str, HeadPair],
        features_RD: Tensor,
        embedded: dict[str, Tensor] | None = None,
        *,
        batch: PretrainBatch,
    ) -> None:
        """`embedded`: rows [R, D] by level that need no head, for a backbone that has them behind it already."""
        self._heads, self.features_RD, self.batch = heads, features_RD, batch
        self._embedded = embedded or {}

    def points(self, level: str, rows_S: Tensor) -> Tensor:
        """Unit features [S, D] of rows of the clouds."""
        if level in self._embedded:
            return self._embedded[level][rows_S]
        return self._heads[level].unit_points(self.features_RD[rows_S])

    def all_points(self, level: str) -> Tensor:
        """Unit features [R, D] of all rows: where pairs share rows, a pair then costs a look-up, not a product."""
        if level in self._embedded:
            return self._embedded[level]
        return self._heads[level].unit_points(self.features_RD)

    def project(self, level: str, features_SD: Tensor) -> Tensor:
        """Unit features [S, D] of backbone features from another pass."""
        return self._heads[level].unit_points(features_SD)

    def teacher(self, pixels_S3: Tensor) -> Tensor:
        """The teacher's own features [S, C] at pixels (image, row, column)."""
        assert self.batch.maps_ICHW is not None
        return sample_maps(self.batch.maps_ICHW, pixels_S3, self.batch.image_size)

    def pixels(self, level: str, pixels_S3: Tensor) -> Tensor:
        """Unit features [S, D] of pixels (image, row, column)."""
        head = self._heads[level].pixels
        assert head is not None
        return unit(head(self.teacher(pixels_S3)))


def build_heads(recipe: PretrainRecipe, width: int, image_channels: int) -> nn.ModuleDict:
    """The heads that the terms in use need, by name; `image_channels` as the teacher has them.

    `semantic` is there only where it is apart from `point_pixel`.
    """
    semantic = "semantic" if recipe.decoupled_heads else "point_pixel"
    # By term: the heads whose points it reads, and whether it reads their pixels too.
    reads = (
        (recipe.weight_point_pixel, "point_pixel", True),
        (recipe.superpixel.weight, "point_pixel", True),
        (recipe.temporal.weight, "point_pixel", False),
        (recipe.views.weight, "point_pixel", False),
        (recipe.weight_category, semantic, True),
        (recipe.weight_consistency, semantic, False),
    )
    used = [(name, pixels) for weight, name, pixels in reads if weight > 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed + 1)
        return nn.ModuleDict(
            {
                name: HeadPair(width, image_channels if (name, True) in used else 0, recipe.embedding_dim)
                for name in ("point_pixel", "semantic")
                if any(name == user for user, _ in used)
            }
        )


def unit(features_ND: Tensor) -> Tensor:
    """Rows of length one; a row of zeros stays zero."""
    return functional.normalize(features_ND, dim=1)


def draw_pairs(weight_M: Tensor, num_pairs: int, generator: torch.Generator) -> Tensor:
    """Indices [min(num_pairs, pairs with weight)] drawn without replacement, in proportion to `weight_M`.

    Gumbel top-k: the k largest of log w + Gumbel noise are such a draw.
    """
    uniform_M = torch.rand(weight_M.shape, dtype=torch.float64, generator=generator, device=generator.device)
    gumbel_M = -torch.log(-torch.log(uniform_M.clamp_min(torch.finfo(torch.float64).tiny)))
    score_M = weight_M.double().log() + gumbel_M.to(weight_M.device)
    drawn = min(num_pairs, int((weight_M > 0).sum()))
    return score_M.topk(drawn).indices
