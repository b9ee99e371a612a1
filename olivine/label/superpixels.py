"""Superpixels of camera images: SLIC on the image (SLidR), or the masks of its weak labels or of a segmenter (Seal)."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.errors import ConfigError, DataError, UsageError
from olivine.label.boundaries import SlicSpace, refine_boundaries
from olivine.label.class_list import IGNORE_ID
from olivine.label.images import decode_image
from olivine.label.labelers import Labels
from olivine.label.recipe import LabelRecipe, SlicRecipe
from olivine.models.vfm.seam import AutomaticSegmenter
from olivine.packs.superpixels import NO_SUPERPIXEL, Superpixels


def check_superpixels(recipe: LabelRecipe) -> None:
    """Say before the work starts that it cannot be done.

    Raises:
        UsageError: superpixels of masks, and the labeler makes none. ConfigError: scikit-image is not installed.
    """
    if recipe.superpixels == "masks" and recipe.labeler in ("truth", "none"):
        raise UsageError(
            f"label.superpixels=masks needs masks, and the labeler {recipe.labeler} makes none: use "
            "label.superpixels=slic, or automatic."
        )
    if recipe.superpixels in ("slic", "masks") and importlib.util.find_spec("skimage") is None:
        raise ConfigError("superpixels need scikit-image, which is not installed: pip install 'olivine[superpixels]'.")


def load_superpixel_segmenter(recipe: LabelRecipe) -> AutomaticSegmenter | None:
    """The segmenter of `superpixels` automatic; None for all others (errors: as `load_automatic`)."""
    if recipe.superpixels != "automatic":
        return None
    from olivine.models.vfm.load import load_automatic

    return load_automatic(recipe.segmenter, recipe.execution.device)


def make_superpixels(
    drives: Drives, keyframe: Keyframe, labels: Labels, recipe: LabelRecipe, segmenter: AutomaticSegmenter | None
) -> tuple[Superpixels, list[int]]:
    """The superpixels of a keyframe's six images, and how many there are in each.

    Raises:
        DataError: an image that cannot be decoded, or more superpixels than there are ids.
    """
    if recipe.superpixels != "masks":
        images = _images(drives, keyframe)
        maps = [segment_image(image_HW3, recipe, segmenter) for image_HW3 in images]
    elif labels.found is not None:
        maps = [instance_superpixels(item.composite.instance_HW, recipe.min_segment_px) for item in labels.found]
    else:
        assert labels.masks is not None
        maps = [mask_superpixels(mask_HW, recipe.min_segment_px) for mask_HW in labels.masks]
    full_IHW = np.stack(maps)
    image, row, column = keyframe.pair_pixel_M3.T
    # Ids have no gap, so their number is one more than the greatest.
    counts = [int(np.where(map_HW == NO_SUPERPIXEL, -1, map_HW.astype(np.int64)).max()) + 1 for map_HW in maps]
    return Superpixels(full_IHW[image, row, column], _shrink(full_IHW, recipe.superpixel_map_size)), counts


def _images(drives: Drives, keyframe: Keyframe) -> Iterator[NDArray[np.uint8]]:
    for camera, jpeg in zip(CAMERAS, drives.images(keyframe.token), strict=True):
        yield decode_image(jpeg, camera, drives.image_size)


def segment_image(
    image_HW3: NDArray[np.uint8], recipe: LabelRecipe, segmenter: AutomaticSegmenter | None
) -> NDArray[np.uint16]:
    """Superpixels of an image alone, uint16 [H, W]: SLIC, or what the segmenter finds by itself."""
    if segmenter is None:
        return slic_superpixels(image_HW3, recipe.slic)
    return _keep_large(segmenter.segments(image_HW3), recipe.min_segment_px)


def instance_superpixels(instance_HW: NDArray[np.uint16], min_segment_px: int) -> NDArray[np.uint16]:
    """The painted instances uint16 [H, W], those of at least `min_segment_px` pixels; 65 535 elsewhere."""
    return _keep_large(np.where(instance_HW == NO_SUPERPIXEL, -1, instance_HW.astype(np.int64)), min_segment_px)


def _keep_large(ids_HW: NDArray[np.int64], min_segment_px: int) -> NDArray[np.uint16]:
    area = np.bincount(ids_HW.ravel() + 1)
    return _number(np.where(area[ids_HW + 1] >= min_segment_px, ids_HW, -1))


def slic_superpixels(image_HW3: NDArray[np.uint8], recipe: SlicRecipe) -> NDArray[np.uint16]:
    """SLIC superpixels uint16 [H, W], ids 0, 1, 2, ... without a gap (Achanta et al., 2012; settings of SLidR).

    The pixels of a full-size image say the same many times over after the smoothing, so the library clusters the means
    of small blocks, and the pixels at the boundaries are assigned once more. With blocks of one pixel this is the
    library's answer alone. The library joins superpixels of less than half the mean size to others.
    """
    from skimage.segmentation import slic

    height, width = image_HW3.shape[:2]
    side_px = math.sqrt(height * width / recipe.num_segments)
    n = block_side(side_px, recipe)
    blocks_hw3 = np.asarray(Image.fromarray(image_HW3).reduce(n))
    ids_hw: NDArray[np.int64] = slic(
        blocks_hw3,
        n_segments=recipe.num_segments,
        compactness=recipe.compactness,
        # The mean of a block has smoothed some already.
        sigma=math.sqrt(max(recipe.sigma_px**2 - (n * n - 1) / 12, 0)) / n,
        start_label=0,
        channel_axis=-1,
    )
    if n == 1:
        return _number(ids_hw)
    space = SlicSpace(int(blocks_hw3.min()), int(blocks_hw3.max()), recipe.compactness, side_px)
    return _number(refine_boundaries(ids_hw, blocks_hw3, image_HW3, n, space))


def block_side(side_px: float, recipe: SlicRecipe) -> int:
    """Side [pixels] of the blocks to cluster, for superpixels of `side_px`: no wider than the smoothing is anyway.

    A block of n x n pixels smooths as much as a Gaussian of variance (n^2 - 1) / 12.
    """
    return max(1, min(int(side_px / recipe.blocks_per_side), int(math.sqrt(12 * recipe.sigma_px**2 + 1))))


def mask_superpixels(mask_HW: NDArray[np.uint8], min_segment_px: int, ignore: int = IGNORE_ID) -> NDArray[np.uint16]:
    """Connected parts (4 neighbours) of equal class, uint16 [H, W]; 65 535 for unpainted pixels and for small parts.

    The masks of one class are not told apart where they touch: our reading of Seal for labels without instances.

    Raises:
        DataError: more parts than there are ids.
    """
    from skimage.measure import label

    # 0 is what is unpainted.
    part_HW: NDArray[np.int64] = label(mask_HW, background=ignore, connectivity=1)
    return _keep_large(part_HW - 1, min_segment_px)


def _number(ids_HW: NDArray[Any]) -> NDArray[np.uint16]:
    """Ids 0, 1, 2, ... in the order of the given ones; 65 535 for those below 0."""
    area = np.bincount(ids_HW.ravel() + 1)
    used = np.flatnonzero(area[1:]) + 1
    if len(used) > NO_SUPERPIXEL:
        raise DataError(
            f"{len(used)} superpixels in one image, but only {NO_SUPERPIXEL} ids: ask for fewer "
            "(label.slic.num_segments) or for larger ones (label.min_segment_px)."
        )
    number = np.full(len(area), NO_SUPERPIXEL, np.uint16)
    number[used] = np.arange(len(used))
    numbered_HW: NDArray[np.uint16] = number[ids_HW + 1]
    return numbered_HW


def _shrink(maps_IHW: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """The maps at (height, width), nearest."""
    rows, columns = ((np.arange(out) + 0.5) * full / out for out, full in zip(size, maps_IHW.shape[1:], strict=True))
    return maps_IHW[:, rows.astype(np.intp)[:, None], columns.astype(np.intp)]
