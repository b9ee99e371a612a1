"""Recipes of detection. Defaults are SECOND's for KITTI in OpenPCDet, which the paper fine-tunes with (table 4)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from olivine.recipe import StageRecipe

MAP_STRIDE = 8
"""Voxels along x and y of one cell of the bird's-eye map that comes out of VoxelNet."""

_LEAST_HEIGHT_CELLS = 25
Triple = tuple[float, float, float]
Width = Annotated[int, Field(ge=1)]
"""Channels, or pixels of a side."""
Beta = Annotated[float, Field(ge=0, lt=1)]


class FramesRecipe(StageRecipe):
    """How frames of KITTI's object benchmark are read and packed."""

    splits: tuple[str, ...] = Field(("train", "val"), min_length=1)
    """Lists of `ImageSets` that are packed. No frame may be in two of them."""

    image_size: tuple[Width, Width] | None = None
    """(width, height) [pixels] of frames that come without their image; none: they are refused."""

    frames_per_shard: int = Field(64, ge=1, le=128)
    """Frames in one tar shard."""

    @model_validator(mode="after")
    def _check(self) -> FramesRecipe:
        if len(set(self.splits)) < len(self.splits):
            raise ValueError(f"splits name one twice: {', '.join(self.splits)}")
        return self


class GridRecipe(StageRecipe):
    """Range and voxels of the detector, in the LiDAR's frame: x ahead, y left, z up."""

    low: Triple = (0.0, -40.0, -3.0)
    """Least x, y, z [m]."""

    high: Triple = (70.4, 40.0, 1.0)
    """First x, y, z [m] beyond."""

    voxel_size: Triple = (0.05, 0.05, 0.1)
    """Edges x, y, z [m]."""

    max_points_per_voxel: int = Field(5, ge=1)
    """Points that the mean of a voxel is over."""

    max_voxels: int = Field(16_000, ge=1)
    """Voxels of a frame in training: those of its first points, which are shuffled."""

    max_voxels_predicted: int = Field(40_000, ge=1)
    """Voxels of a frame in prediction."""

    @property
    def cells(self) -> tuple[int, int, int]:
        """Voxels along x, y, z. There is one more along z than the range holds, as in the reference: the map then has
        two cells along z, and the network twice the channels."""
        x, y, z = (
            round((high - low) / size) for low, high, size in zip(self.low, self.high, self.voxel_size, strict=True)
        )
        return x, y, z + 1

    @model_validator(mode="after")
    def _check(self) -> GridRecipe:
        if min(self.voxel_size) <= 0:
            raise ValueError("voxel_size must be above zero")
        x, y, z = self.cells
        if min(x, y) < 2 * MAP_STRIDE or x % (2 * MAP_STRIDE) or y % (2 * MAP_STRIDE) or z < _LEAST_HEIGHT_CELLS:
            raise ValueError(
                f"the range has {x} x {y} x {z} voxels: it needs multiples of {2 * MAP_STRIDE} along x and y, so that "
                f"the map can be halved once more, and {_LEAST_HEIGHT_CELLS} along z. Change low, high or voxel_size"
            )
        return self


class MapNetworkRecipe(StageRecipe):
    """The 2D network on the bird's-eye map: two blocks of convolutions, the second on a map of half the size."""

    layers: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (5, 5)
    """Convolutions of each block after its first."""

    widths: tuple[Width, Width] = (128, 256)
    """Channels of each block."""

    up_widths: tuple[Width, Width] = (256, 256)
    """Channels that each block adds to the map of the head."""


class ClassRecipe(StageRecipe):
    """One class, and the boxes (anchors) that it is predicted from: at every cell of the map, along x and along y."""

    kind: Literal["car", "pedestrian", "cyclist"]
    """Class, one of the benchmark's three."""

    size: Triple
    """Length, width, height [m]."""

    bottom_m: float
    """z [m] of its bottom."""

    matched: float = Field(gt=0, le=1)
    """IoU with an object from which on an anchor is to find it."""

    unmatched: float = Field(gt=0, le=1)
    """IoU below which an anchor is to find nothing. In between it does not count."""

    sampled: int = Field(0, ge=0)
    """Objects of other training frames are put into a frame until it has so many of this class, where there is room.
    Their height is left as it was: the reference sets them on a plane of the road, which KITTI does not come with."""

    @model_validator(mode="after")
    def _check(self) -> ClassRecipe:
        if self.unmatched > self.matched or min(self.size) <= 0:
            raise ValueError("unmatched may not be above matched, and sizes must be above zero")
        return self


CLASSES = (
    ClassRecipe(kind="car", size=(3.9, 1.6, 1.56), bottom_m=-1.78, matched=0.6, unmatched=0.45, sampled=20),
    ClassRecipe(kind="pedestrian", size=(0.8, 0.6, 1.73), bottom_m=-0.6, matched=0.5, unmatched=0.35, sampled=15),
    ClassRecipe(kind="cyclist", size=(1.76, 0.6, 1.73), bottom_m=-0.6, matched=0.5, unmatched=0.35, sampled=15),
)


class AugmentRecipe(StageRecipe):
    """What is done to a frame before it is trained on."""

    sampled_min_points: int = Field(5, ge=1)
    """Points that such an object has at least."""

    flip: bool = True
    """Mirror left and right, with probability one half."""

    rotation_rad: float = Field(0.785398, ge=0)
    """Turn about z by up to this, to either side."""

    scale: tuple[float, float] = (0.95, 1.05)
    """Least and greatest factor on all lengths."""

    @model_validator(mode="after")
    def _check(self) -> AugmentRecipe:
        least, greatest = self.scale
        if not 0 < least <= greatest:
            raise ValueError(
                f"scale is {least:g} to {greatest:g}: give the least factor, above zero, then the greatest"
            )
        return self


class OneCycleRecipe(StageRecipe):
    """AdamW in one cycle: the rate rises along a cosine and falls along another, the momentum does the opposite."""

    lr: float = Field(0.003, gt=0)
    """Highest rate."""

    weight_decay: float = Field(0.01, ge=0)
    """On every parameter."""

    momentum: tuple[Beta, Beta] = (0.95, 0.85)
    """Adam's first beta at the ends and at the highest rate; the second is 0.99."""

    rising_share: float = Field(0.4, gt=0, lt=1)
    """Share of the steps in which the rate rises."""

    start_divisor: float = Field(10.0, ge=1)
    """The rate begins at the highest over this, and ends ten thousand times lower than it began."""

    clip_norm: float = Field(10.0, gt=0)
    """Greatest gradient norm."""


class LossRecipe(StageRecipe):
    """Weights of the parts of the loss."""

    kind: float = Field(1.0, ge=0)
    """Focal loss of the class."""

    box: float = Field(2.0, ge=0)
    """Smooth L1 of the box, with the sine of the difference of angles."""

    direction: float = Field(0.2, ge=0)
    """Cross-entropy of which of two ways a box faces: the sine does not tell."""


class DetectorRecipe(StageRecipe):
    """How a detector is trained."""

    split: str = "train"
    """List of frames to train on; objects that are put into other frames come from it alone."""

    grid: GridRecipe = GridRecipe()
    """Range and voxels."""

    widths: tuple[Width, Width, Width, Width, Width] = (16, 32, 64, 64, 128)
    """Channels of VoxelNet; those of the backbone to start from."""

    map_network: MapNetworkRecipe = MapNetworkRecipe()
    """The 2D network."""

    classes: tuple[ClassRecipe, ...] = Field(CLASSES, min_length=1)
    """In the order of the scores."""

    intensity_scale: float = Field(1.0, gt=0)
    """Factor on the intensity, 0..1 in KITTI."""

    augment: AugmentRecipe = AugmentRecipe()
    """What is done to frames."""

    optimizer: OneCycleRecipe = OneCycleRecipe()
    """Rates."""

    loss: LossRecipe = LossRecipe()
    """Weights of the loss."""

    batch_size: int = Field(4, ge=1)
    """Frames a step."""

    epochs: int = Field(80, ge=1)
    """Passes over the frames. The last one counts."""

    bn_momentum: float = Field(0.01, gt=0, le=1)
    """Momentum of batch normalisation."""

    checkpoint_every: int = Field(1000, ge=1)
    """Optimiser steps between checkpoints."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of initialisation, order and augmentation."""

    @model_validator(mode="after")
    def _check(self) -> DetectorRecipe:
        kinds = [item.kind for item in self.classes]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"classes name one twice: {', '.join(kinds)}")
        return self


class DetectionRecipe(StageRecipe):
    """What is predicted and scored."""

    split: str = "val"
    """List of frames to predict."""

    min_score: float = Field(0.1, ge=0, le=1)
    """Boxes with a lower score are left out."""

    nms_iou: float = Field(0.01, ge=0, le=1)
    """A box that overlaps a better one by more than this, seen from above, is left out, whatever its class is."""

    nms_candidates: int = Field(4096, ge=1)
    """Boxes with the highest scores that are looked at."""

    most: int = Field(500, ge=1)
    """Boxes of a frame at most."""

    frames_per_shard: int = Field(128, ge=1, le=1024)
    """Predictions in one tar shard."""
