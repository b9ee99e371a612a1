"""Recipes of the terms of the pretraining objective: one class a term, each switched on by a weight above zero."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from olivine.recipe import StageRecipe

Sharing = Literal["local", "negatives", "batch"]


class ConsistencyRecipe(StageRecipe):
    """The semantic-consistency term: von Mises-Fisher statistics a category and their loss (paper section 3.2)."""

    distribution: Literal["vmf", "dirac"] = "vmf"
    """`vmf`: likelihood under the category's von Mises-Fisher distribution. `dirac`: a pull to its mean direction with
    no concentration, the deterministic variant of the paper's Table 6c (our reading)."""

    update_rate: float = Field(1e-4, gt=0, lt=1)
    """Share of a batch's mean in the running mean: 1 - alpha (reference code: 1e-4; the paper gives no value)."""

    statistics_samples: int = Field(160_000, ge=0)
    """Keyframes after which the loss begins (reference: 10 000 steps at batch 16)."""

    keep_updating: bool = False
    """Whether statistics go on moving after that; the reference freezes them for the rest of the training."""

    corrected: bool = False
    """Whether the running mean's start at zero is corrected; the reference does not."""

    max_concentration: float | None = Field(None, gt=0)
    """Cap on kappa; needed with `corrected`, where kappa grows to hundreds."""

    reduction: Literal["category", "point"] = "category"
    """Mean over the categories present (reference code, V2 and V3) or over points (paper; V1 weighs a category by its
    share of pairs, which is the same)."""


class SuperpixelTermRecipe(StageRecipe):
    """Contrast of superpixels: SLidR, ST-SLidR with `tolerance`, Seal with segments of masks. Needs weak labels made
    with `label.superpixels`."""

    weight: float = Field(0.0, ge=0)
    """Weight of the term; 0 leaves it out."""

    pixel_stride: int = Field(1, ge=1)
    """Pool every n-th row and column of the superpixel maps; 1 pools every pixel, as SLidR does."""

    normalize: bool = False
    """Whether pooled means are brought to unit length; the reference code does not."""

    tolerance: Literal["off", "left_out", "zero_logit"] = "off"
    """ST-SLidR: semantically close negatives do not count, and anchors are balanced by class. `left_out` takes them out
    of the sum; `zero_logit` multiplies their logit by zero, as its code does, which leaves exp(0) in the sum."""

    tolerated_share: float = Field(0.01, ge=0, lt=1)
    """Share of an anchor's negatives that is tolerated, the most similar first (ST-SLidR: 1 %)."""

    similar_from: float = Field(0.5, gt=0)
    """Cosine of the teacher's features from which two superpixels count as of one class (ST-SLidR: 0.5); above 1 for
    anchors of equal weight."""


class TemporalRecipe(StageRecipe):
    """Seal's consistency over time: points of a later sweep with the segments of this one (our reading: no public code
    settles it). Needs weak labels made with `label.superpixels`."""

    weight: float = Field(0.0, ge=0)
    """Weight of the term; 0 leaves it out."""

    keyframes_ahead: int = Field(1, ge=1)
    """How many keyframes later the second sweep is."""

    cell_m: float = Field(0.5, gt=0)
    """A later point belongs to the segment that holds its cell of this size [m], once the ego motion is undone."""


class RegressionRecipe(StageRecipe):
    """ScaLR: the point's feature is the teacher's, no contrast, no label."""

    weight: float = Field(0.0, ge=0)
    """Weight of the term; 0 leaves it out."""

    num_pairs: int | None = Field(None, ge=2)
    """Pairs drawn of a batch; None for all of them, as ScaLR publishes it."""


class ViewsRecipe(StageRecipe):
    """PointContrast: the points of two augmented views of one cloud; no image (our reading of the published method)."""

    weight: float = Field(0.0, ge=0)
    """Weight of the term; 0 leaves it out."""

    symmetric: bool = False
    """Contrast in both directions; one direction as PointContrast publishes it."""


class MomentumRecipe(StageRecipe):
    """DepthContrast: whole clouds against a queue of earlier ones; no image (our reading of the published method)."""

    weight: float = Field(0.0, ge=0)
    """Weight of the term; 0 leaves it out."""

    queue_size: int = Field(65_536, ge=1)
    """Clouds remembered as negatives (momentum contrast: 65 536)."""

    key_momentum: float = Field(0.999, ge=0, lt=1)
    """Share of its old parameters that the key network keeps at each step (momentum contrast: 0.999)."""

    embedding_dim: int = Field(128, ge=2)
    """Width of the embedding of a cloud."""


class OcclusionRecipe(StageRecipe):
    """Pairs whose point the camera does not see (our addition: the reference keeps them)."""

    enabled: bool = False
    """Whether hidden pairs are left out."""

    cell_px: int = Field(16, ge=1)
    """Edge [pixels of the full image] of the cells of the depth buffer."""

    tolerance: float = Field(0.1, ge=0)
    """Share of the depth by which a point may lie behind the nearest one around it."""


class ImageAugmentationRecipe(StageRecipe):
    """Random crops and flips of the images (reference code). With them the encoder runs at every step; without, the
    features of whole images are computed once and kept."""

    enabled: bool = False
    """Whether images are cropped and flipped."""

    min_area: float = Field(0.3, gt=0, le=1)
    """Least share of the image's area in a crop."""

    aspect: tuple[float, float] = (14 / 9, 17 / 9)
    """Least and greatest width over height of a crop, drawn log-uniformly."""

    min_pairs: int = Field(1024, ge=0)
    """A crop is accepted with more pairs than this..."""

    min_pair_share: float = Field(0.75, ge=0, le=1)
    """... or with more than this share of the image's pairs."""

    max_tries: int = Field(10, ge=1)
    """Crops tried; the whole image is taken after that (the reference tries without end)."""

    antialias: bool = True
    """Whether shrinking averages; the reference's bilinear resizing does not."""

    flip: bool = True
    """Mirror each image with probability one half."""

    decode: Literal["full", "reduced"] = "full"
    """Whether a JPEG is decoded whole before it is cropped, or at 1/2, 1/4 or 1/8 of its size where the crop is then
    still as large as it must become: several times faster, and other rounding."""

    @model_validator(mode="after")
    def _check(self) -> ImageAugmentationRecipe:
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError("aspect must be two positive numbers, the lesser first")
        return self
