"""Superpixels of camera images: SLIC on the image (SLidR), or the connected parts of its weak-label mask (Seal)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.drives import Drives, Keyframe
from olivine.errors import ConfigError, DataError, UsageError
from olivine.label.class_list import IGNORE_ID
from olivine.label.recipe import LabelRecipe, SlicRecipe
from olivine.packs.superpixels import NO_SUPERPIXEL, Superpixels


def make_superpixels(
    drives: Drives, keyframe: Keyframe, masks: list[NDArray[np.uint8]] | None, recipe: LabelRecipe
) -> Superpixels:
    """The superpixels of a keyframe's six images.

    Raises:
        UsageError: masks are asked for and the labeler makes none. DataError: an image that cannot be decoded.
        ConfigError: scikit-image is not installed.
    """
    if recipe.superpixels == "slic":
        maps = [slic_superpixels(_decode(jpeg, keyframe.token), recipe.slic) for jpeg in drives.images(keyframe.token)]
    elif masks is None:
        raise UsageError(f"label.superpixels=masks needs masks, and the labeler {recipe.labeler} makes none: use slic.")
    else:
        maps = [mask_superpixels(mask_HW, recipe.min_segment_px) for mask_HW in masks]
    full_IHW = np.stack(maps)
    image, row, column = keyframe.pair_pixel_M3.T
    return Superpixels(full_IHW[image, row, column], _shrink(full_IHW, recipe.superpixel_map_size))


def slic_superpixels(image_HW3: NDArray[np.uint8], recipe: SlicRecipe) -> NDArray[np.uint16]:
    """SLIC superpixels uint16 [H, W], ids 0, 1, 2, ... without a gap (Achanta et al., 2012; settings of SLidR)."""
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise ConfigError("SLIC needs scikit-image: pip install 'olivine[superpixels]'.") from error
    ids_HW: NDArray[Any] = slic(
        image_HW3,
        n_segments=recipe.num_segments,
        compactness=recipe.compactness,
        sigma=recipe.sigma_px,
        start_label=0,
        channel_axis=-1,
    )
    return ids_HW.astype(np.uint16)


def mask_superpixels(mask_HW: NDArray[np.uint8], min_segment_px: int) -> NDArray[np.uint16]:
    """Connected parts (4 neighbours) of equal class, uint16 [H, W]; 65 535 for unpainted pixels and for small parts.

    The masks of one class are not told apart where they touch: our reading of Seal for labels without instances.
    """
    try:
        from skimage.measure import label
    except ImportError as error:
        raise ConfigError("superpixels of masks need scikit-image: pip install 'olivine[superpixels]'.") from error
    part_HW = label(mask_HW.astype(np.int32) + 1, connectivity=1)
    area = np.bincount(part_HW.ravel())
    class_of = np.full(len(area), IGNORE_ID, np.uint8)
    class_of[part_HW.ravel()] = mask_HW.ravel()
    kept = np.flatnonzero((area >= min_segment_px) & (class_of != IGNORE_ID) & (np.arange(len(area)) > 0))
    number = np.full(len(area), NO_SUPERPIXEL, np.uint16)
    # Only as many as there are numbers: the largest parts of a mask that is all noise.
    kept = np.sort(kept[np.argsort(-area[kept], kind="stable")][:NO_SUPERPIXEL])
    number[kept] = np.arange(len(kept))
    ids_HW: NDArray[np.uint16] = number[part_HW]
    return ids_HW


def _shrink(maps_IHW: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """The maps at (height, width), nearest."""
    rows, columns = ((np.arange(out) + 0.5) * full / out for out, full in zip(size, maps_IHW.shape[1:], strict=True))
    return maps_IHW[:, rows.astype(np.intp)[:, None], columns.astype(np.intp)]


def _decode(jpeg: bytes, token: str) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"keyframe {token}: an image cannot be decoded ({error}). Ingest the drives again.") from error
