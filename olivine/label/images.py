"""Camera images as pixels, and what is wrong with them said before anything is computed."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.errors import DataError


def decode_image(jpeg: bytes, camera: str, image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3]; grey-scale and CMYK images are converted.

    Raises:
        DataError: not an image, a damaged one, or of another size than `image_size` (width, height), for which the
            calibration would not hold.
    """
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            # Checked before the pixels are decoded: a file may claim any size.
            if image.size != image_size:
                raise DataError(f"{camera}: the image is {image.size}, those of these drives are {image_size}.")
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{camera}: the image cannot be decoded ({error}). Ingest the drives again.") from error
