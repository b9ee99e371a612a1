"""Images as cameras and archives deliver them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from olivine.errors import DataError
from olivine.label.images import decode_image


def jpeg(mode, size=(32, 16)):
    generator = np.random.default_rng(0)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    buffer = io.BytesIO()
    Image.fromarray(generator.integers(0, 255, shape, np.uint8), mode=mode).save(buffer, "jpeg")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_kind_of_jpeg_becomes_rgb(mode):
    data = jpeg(mode)
    image = decode_image(data, "CAM_FRONT", (32, 16))
    assert (image.shape, image.dtype) == ((16, 32, 3), np.uint8)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == mode
        assert np.array_equal(image, np.asarray(opened.convert("RGB")))


def bomb():
    """A PNG of 60 kilobytes that says it has 900 million pixels."""
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jpeg("RGB", (16, 16)), r"CAM_BACK: the image is \(16, 16\), those of these drives are \(32, 16\)"),
        (lambda: jpeg("RGB")[:200], "CAM_BACK: the image cannot be decoded"),
        (lambda: b"no image", "CAM_BACK: the image cannot be decoded"),
        (lambda: b"", "CAM_BACK: the image cannot be decoded"),
        (bomb, "CAM_BACK: the image (is|cannot be decoded)"),
    ],
)
def test_what_is_none_is_named(make, message):
    with pytest.raises(DataError, match=message):
        decode_image(make(), "CAM_BACK", (32, 16))
