"""A sweep from above, and images as data URIs. Shapes: N points, H x W pixels."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

RANGE_M = 45.0
_SIZE_PX = 680
_DOT_PX = 3
_RINGS_M = (20, 40)
_PAPER, _RING, _WRITING, _EGO = (255, 255, 255), (222, 224, 230), (120, 124, 134), (40, 44, 60)
_FONT_PX = 20
_NUM_COLOURS = 64


@dataclass(frozen=True)
class Picture:
    """An image that stands in the page itself. `alt` says what it shows to those who cannot see it.

    `safe_src` is the same image with its classes in the safe palette, for a page that has both.
    """

    src: str
    alt: str
    width: int
    height: int
    safe_src: str | None = None


def draw_birds_eye(points_N4: NDArray[np.float32], rgb_N3: NDArray[np.uint8], alt: str) -> Picture:
    """Points in their colours, the ego vehicle in the middle driving up, rings at 20 and 40 m.

    Higher points cover lower ones, whatever their colour: an order that favours no result.
    """
    canvas = Image.new("RGB", (_SIZE_PX, _SIZE_PX), _PAPER)
    draw = ImageDraw.Draw(canvas)
    middle, scale = _SIZE_PX / 2, _SIZE_PX / (2 * RANGE_M)
    for ring_m in _RINGS_M:
        reach = ring_m * scale
        draw.ellipse((middle - reach, middle - reach, middle + reach, middle + reach), outline=_RING, width=2)
        draw.text((middle + 4, middle - reach + 3), f"{ring_m} m", fill=_WRITING, font_size=_FONT_PX)
    pixels_HW3 = np.array(canvas)
    _stamp(pixels_HW3, points_N4, rgb_N3, scale)
    canvas = Image.fromarray(pixels_HW3)
    nose = [(middle, middle - 11), (middle - 6, middle + 8), (middle + 6, middle + 8)]
    ImageDraw.Draw(canvas).polygon(nose, fill=_EGO, outline=_PAPER)
    return encode_png(canvas, alt)


def _stamp(
    pixels_HW3: NDArray[np.uint8], points_N4: NDArray[np.float32], rgb_N3: NDArray[np.uint8], scale: float
) -> None:
    """Draw a square dot for each point, from low to high."""
    order = np.argsort(points_N4[:, 2], kind="stable")
    x_N, y_N = points_N4[order, 0], points_N4[order, 1]
    column_N = np.floor((x_N + RANGE_M) * scale).astype(np.int64)
    row_N = np.floor((RANGE_M - y_N) * scale).astype(np.int64)
    offsets = np.arange(_DOT_PX) - _DOT_PX // 2
    down, right = (grid.ravel() for grid in np.meshgrid(offsets, offsets))
    row, column = (row_N[:, None] + down).ravel(), (column_N[:, None] + right).ravel()
    inside = (row >= 0) & (row < _SIZE_PX) & (column >= 0) & (column < _SIZE_PX)
    rgb = np.repeat(rgb_N3[order], _DOT_PX**2, axis=0)
    # Of several colours for one pixel NumPy keeps the last, which is the highest point.
    pixels_HW3[row[inside], column[inside]] = rgb[inside]


def encode_png(image: Image.Image, alt: str) -> Picture:
    """A picture of few colours, without loss."""
    few = image.quantize(_NUM_COLOURS, dither=Image.Dither.NONE)
    return _encode(few, "png", alt, optimize=True)


def encode_jpeg(image: Image.Image, alt: str, *, fine_colours: bool = False) -> Picture:
    """A photograph; with `fine_colours` dots of a few pixels keep their colour, in a larger file."""
    return _encode(image, "jpeg", alt, quality=84, **({"subsampling": 0} if fine_colours else {}))


def _encode(image: Image.Image, format: str, alt: str, **options: Any) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/{format};base64,{data}", alt, *image.size)
