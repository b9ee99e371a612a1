"""Recipe of the stage `label`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.recipe import StageRecipe


class SimulatedRecipe(StageRecipe):
    """How wrong the simulated labels are: the failure modes of real open-vocabulary labels, at stated rates."""

    confusion_rate: float = Field(0.22, ge=0, le=1)
    """Share of segments that get a class they are often mistaken for (bus/truck, sidewalk/terrain, ...)."""

    unpainted_rate: float = Field(0.06, ge=0, le=1)
    """Share of segments that no mask covers."""

    miss_rate_small: float = Field(0.5, ge=0, le=1)
    """Share of segments smaller than `small_px` that the detector does not find."""

    small_px: int = Field(80, ge=0)
    """Area [pixels] below which a segment counts as small."""

    bleed_px: tuple[float, float] = (2.0, 6.0)
    """Least and greatest displacement [pixels] of mask boundaries, drawn for each image."""


class SlicRecipe(StageRecipe):
    """SLIC superpixels, with SLidR's settings as defaults."""

    num_segments: int = Field(150, ge=2, lt=65_535)
    """Superpixels asked for in an image (SLidR: 150; 30 for VoxelNet)."""

    compactness: float = Field(6.0, gt=0)
    """Weight of distance against colour (SLidR: 6)."""

    sigma_px: float = Field(3.0, ge=0)
    """Width [pixels] of the Gaussian that smooths the image first (SLidR: 3)."""

    blocks_per_side: int = Field(24, ge=1)
    """The image is clustered in blocks of pixels, at least this many along the side of a superpixel: blocks of 4 x 4
    with the defaults on 1600 x 900 images. Greater than the side: every pixel is clustered, as SLidR does; the error
    is the same within 5 % and the time more than tenfold (benchmark W4)."""


class ComposeRecipe(StageRecipe):
    """How instances become one category a pixel; `olivine label recompose` applies another one without the models."""

    score: float = Field(0.25, ge=0, le=1)
    """Least score of a box that is painted (Grounding DINO's own value)."""

    score_by_class: dict[str, float] = Field(default_factory=dict)
    """Another least score for single classes, by their names."""

    nms_iou: float = Field(0.7, ge=0, le=1)
    """Of two boxes of one class that overlap by more than this (IoU), the one with the lower score is left out."""


class ExecutionRecipe(StageRecipe):
    """How the work is done. On one sort of device it changes no byte of the labels: it is no part of their id."""

    workers: int = Field(2, ge=1)
    """Keyframes under way at once: their images are decoded and their masks encoded while a model works. What a
    killed run of the labeler `grounded_sam` repeats at most."""

    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU where there is one."""


class LabelRecipe(StageRecipe):
    """Which labeler, with which classes."""

    labeler: Literal["import", "truth", "simulated", "grounded_sam", "none"] = "import"
    """`import`: PNG masks made elsewhere. `grounded_sam`: boxes by the `detector`, masks by the `segmenter`. `truth`:
    hand labels as weak labels, the paper's own ablation (Table 6a). `simulated`: perturbed renderings of synthetic
    drives; says so wherever a result of it is shown. `none`: no category at all, for methods that need superpixels
    alone (SLidR, Seal)."""

    batch_images: int = Field(1, ge=1)
    """Images of a keyframe that go through a model at once on a GPU, halved when its memory does not hold them. The
    last bits depend on it, and with them which of nearly equal boxes are kept: so it is no matter of execution. Always
    one on a processor, where more are no faster."""

    classes: str = "grounded_sam"
    """Name of a class list in `olivine/label/classes`, or the path of one in the same form."""

    folder: str | None = None
    """For `import`: the folder of masks, laid out as the images are, with .png for .jpg (paper: `camseg`)."""

    trap: Literal["class", "ignore"] = "class"
    """For `import` of a class list in which an id is both a class and unpainted (`seem`: id 0, barrier). `class`: as
    the reference reads it, all of its pixels are that class. `ignore`: none of them is anything."""

    detector: DetectorRecipe = DetectorRecipe()
    """For `grounded_sam`: boxes from the prompts of the class list."""

    segmenter: SegmenterRecipe = SegmenterRecipe()
    """For `grounded_sam`: masks from boxes. For `superpixels` automatic: masks from a grid of points."""

    compose: ComposeRecipe = ComposeRecipe()
    """For `grounded_sam`: from instances to one category a pixel."""

    execution: ExecutionRecipe = ExecutionRecipe()
    """How the work is done, without an effect on its result."""

    simulated: SimulatedRecipe = SimulatedRecipe()
    """Used by the labeler `simulated` alone."""

    superpixels: Literal["none", "slic", "masks", "automatic"] = "none"
    """Segments of the images for SLidR, ST-SLidR (`slic`) and Seal. `masks`: the painted instances where the labeler
    knows them, else the connected parts of its masks (our reading). `automatic`: the masks that the `segmenter` finds
    by itself, without classes."""

    slic: SlicRecipe = SlicRecipe()
    """Used with `superpixels` slic alone."""

    superpixel_map_size: tuple[int, int] = (224, 416)
    """(height, width) [pixels] at which superpixel maps are stored, by the nearest pixel."""

    min_segment_px: int = Field(64, ge=1)
    """With `superpixels` masks: parts smaller than this [pixels of the full image] are no segment."""

    shuffled: bool = False
    """For a control only: every keyframe gets the masks of another one, half the drives away."""

    keyframes_per_shard: int = Field(64, ge=1, le=128)
    """Keyframes in one tar shard: what a killed run repeats at most."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the simulated errors."""
