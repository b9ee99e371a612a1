"""Points over the image of a camera. Shapes: K points, H x W pixels."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.drives import CAMERAS, Drives
from olivine.errors import UsageError
from olivine.report.birds_eye import Picture, encode_jpeg

LARGEST_WIDTH_PX = 800
_DOTS_ACROSS = 320
_FADED = 0.55


def camera_number(camera: str) -> int:
    """Place of a camera in a keyframe; UsageError for a name that none has."""
    if camera not in CAMERAS:
        raise UsageError(f"there is no camera {camera!r}: choose one of {', '.join(CAMERAS)}.")
    return CAMERAS.index(camera)


def read_image(drives: Drives, token: str, camera: int, largest_width_px: int = LARGEST_WIDTH_PX) -> Image.Image:
    """The image of a camera, no wider than a page shows it."""
    with Image.open(io.BytesIO(drives.images(token)[camera])) as file:
        plain = file.convert("RGB")
    scale = min(1.0, largest_width_px / plain.width)
    return plain.resize((round(plain.width * scale), round(plain.height * scale)), Image.Resampling.BILINEAR)


def draw_over_image(image: Image.Image, place_K2: NDArray[np.float64], rgb_K3: NDArray[np.uint8], alt: str) -> Picture:
    """Square dots over the image, which is grey and faded: every colour is a dot's.

    `place_K2` is (row, column) as shares 0..1 of height and width; later points cover earlier ones.
    """
    grey_HW3 = np.asarray(image.convert("L").convert("RGB"), np.float32)
    pixels_HW3 = (255 - (255 - grey_HW3) * _FADED).astype(np.uint8)
    height, width = pixels_HW3.shape[:2]
    reach = max(1, round(width / _DOTS_ACROSS / 2))
    row_K, column_K = (place_K2 * np.array([height, width])).astype(np.int64).T
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            at = (row_K + down).clip(0, height - 1), (column_K + right).clip(0, width - 1)
            pixels_HW3[at] = rgb_K3
    return encode_jpeg(Image.fromarray(pixels_HW3), alt, fine_colours=True)
