"""Recipe of the stage `label`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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


class LabelRecipe(StageRecipe):
    """Which labeler, with which classes."""

    labeler: Literal["import", "truth", "simulated"] = "import"
    """`import`: PNG masks made elsewhere. `truth`: hand labels as weak labels, the paper's own ablation (Table 6a).
    `simulated`: perturbed renderings of synthetic drives; says so wherever a result of it is shown."""

    classes: str = "grounded_sam"
    """Name of a class list in `olivine/label/classes`, or the path of one in the same form."""

    folder: str | None = None
    """For `import`: the folder of masks, laid out as the images are, with .png for .jpg (paper: `camseg`)."""

    simulated: SimulatedRecipe = SimulatedRecipe()
    """Used by the labeler `simulated` alone."""

    superpixels: Literal["none", "slic", "masks"] = "none"
    """Segments of the images for SLidR, ST-SLidR (`slic`) and Seal (`masks`: the connected parts of the weak-label
    masks, our reading where instances are not known)."""

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
