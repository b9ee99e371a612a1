"""Recipes of the detector and the segmenter: which network, whose weights, how images are shown to it. No torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from olivine.models.weights_path import weights_path
from olivine.recipe import StageRecipe


class WeightsRecipe(StageRecipe):
    """Weights as a file or folder, and the digest that they must have."""

    weights: str | None = None
    """Path, file:/// URI, or s3:// below OLIVINE_WEIGHTS. Of a backend `transformers`: a folder with config.json,
    model.safetensors (and the tokenizer); of a backend `original`: the checkpoint. Nothing is fetched from a hub: see
    `olivine label fetch-weights`."""

    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """SHA-256 (hex) of that file; of a folder: of what `sha256sum` prints of its files, in the order of their names.
    `olivine label digest` prints it."""

    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """Arithmetic of the network on a GPU; a processor computes in fp32 whatever stands here."""

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.weights is not None:
            weights_path(self.weights, self.sha256)
        if (self.weights is None) != (self.sha256 is None):
            raise ValueError("weights and sha256 go together: give both or neither (`olivine label digest PATH`)")
        return self


class DetectorRecipe(WeightsRecipe):
    """Grounding DINO: boxes for prompts."""

    backend: Literal["transformers", "original"] = "transformers"
    """`transformers`: GroundingDinoForObjectDetection from a folder. `original`: the package groundingdino-py, with
    the authors' checkpoint; `text_encoder` is then the folder of its tokenizer and BERT configuration."""

    text_encoder: str | None = None
    """Of the backend `original`: folder with vocab.txt and config.json of its BERT (bert-base-uncased)."""

    text_encoder_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Of that folder, as `olivine label digest` prints it: other words for a prompt would be other boxes."""

    short_side_px: int = Field(800, ge=32)
    """Images are resized so that their short side has so many pixels, ..."""

    long_side_px: int = Field(1333, ge=32)
    """... unless the long one would have more than this: 750 x 1333 for images of 900 x 1600."""

    keep_score: float = Field(0.2, ge=0, le=1)
    """Boxes with a lower score are not kept at all: how far `label.compose.score` can be lowered afterwards."""

    max_boxes: int = Field(100, ge=1, le=900)
    """At most so many boxes of an image are kept, those with the highest scores."""

    @model_validator(mode="after")
    def _check_text_encoder(self) -> Self:
        if (self.text_encoder is None) != (self.text_encoder_sha256 is None):
            raise ValueError("text_encoder and text_encoder_sha256 go together (`olivine label digest FOLDER`)")
        return self


class SegmenterRecipe(WeightsRecipe):
    """Segment Anything: masks for boxes, or for a grid of points."""

    name: Literal["sam", "sam2", "mobile_sam"] = "mobile_sam"
    """`mobile_sam` has pinned weights of its own: `olivine label fetch-weights mobile_sam`."""

    backend: Literal["transformers", "original"] = "transformers"
    """Of `sam`: SamModel from a folder, or the package segment-anything with the authors' checkpoint. `sam2` is
    transformers' alone; `mobile_sam` is timm's network with segment-anything's decoder."""

    points_per_side: int = Field(16, ge=1, le=64)
    """For masks without boxes: points of the grid along each side of the image (Segment Anything: 32). Most of the time
    goes into them, and it grows with their square."""

    min_quality: float = Field(0.88, ge=0, le=1)
    """For masks without boxes: least predicted IoU (Segment Anything's own value)."""

    min_stability: float = Field(0.95, ge=0, le=1)
    """For masks without boxes: least IoU of the mask cut one logit above and one below (its own value)."""

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.name == "mobile_sam" and self.weights is not None:
            raise ValueError("mobile_sam has pinned weights of its own: leave out weights and sha256")
        if self.name == "sam2" and self.backend == "original":
            raise ValueError("sam2 runs by transformers alone: leave out backend")
        return self
